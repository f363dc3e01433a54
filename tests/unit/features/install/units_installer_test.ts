import assert from "node:assert/strict";
import type { InstallPorts, Owner } from "@lib/features/install/steps.ts";
import { HARDENING_NAMES, UNIT_NAMES } from "@lib/features/install/unit_files.ts";
import { installUnits, uninstallUnits } from "@lib/features/install/units_installer.ts";
import { FakeClock } from "../../../support/fake_clock.ts";

const signal = new AbortController().signal;

interface Options {
  readonly hardeningWorks?: boolean;
  readonly manager?: boolean;
  readonly lingers?: "yes" | "no" | "can";
  readonly system?: boolean;
  readonly owner?: Partial<Owner> | "none";
  readonly binDir?: string;
}

/** A machine that keeps files in a map and knows the few commands of an installation. */
function setup(options: Options = {}) {
  const { hardeningWorks = true, manager = true, lingers = "can", system = false } = options;
  const files = new Map<string, string>();
  for (const name of UNIT_NAMES) files.set(`/units/${name}`, `Description=cicd-toolkit ${name}`);
  for (const name of HARDENING_NAMES) files.set(`/units/hardening/${name}`, `text of ${name}`);
  files.set("/run/systemd/system", "");
  files.set("/run/user/1000/cicd-runner.sock", "");
  if (lingers === "yes") files.set("/var/lib/systemd/linger/dev", "");
  const commands: string[] = [];
  const owner: Owner = {
    user: "dev",
    uid: 1000,
    gid: 1000,
    home: "/home/dev",
    configDir: "/home/dev/.config/cicd-toolkit",
    stateDir: "/home/dev/.local/state/cicd-toolkit",
    cacheDir: "/home/dev/.cache/cicd-toolkit",
    dataHome: "/home/dev/.local/share",
    runtimeDir: "/run/user/1000",
    asOwner: [],
    ...(options.owner === "none" ? {} : options.owner),
  };
  const ended = (code: number, stdout = "") =>
    Promise.resolve({ code, stdout, stderr: code === 0 ? "" : "it failed" });
  const ports: InstallPorts = {
    subject: {
      system,
      owner: options.owner === "none" ? undefined : owner,
      unitsDir: "/units",
      unitDir: "/u",
      binDir: options.binDir ?? "/home/dev/.local/bin",
    },
    clock: new FakeClock(),
    run(all, _signal, stdin) {
      commands.push(all.join(" "));
      const argv = all.slice(
        owner.asOwner.length && all[0] === owner.asOwner[0] ? owner.asOwner.length : 0,
      );
      const last = argv.at(-1) ?? "";
      switch (argv[0]) {
        case "systemctl":
          if (!manager) return ended(1);
          if (argv.includes("list-units")) {
            return ended(
              0,
              last.startsWith("cicd-agent") ? "cicd-agent@web.socket loaded x\n" : "",
            );
          }
          return ended(
            last === "cicd-toolkit-probe.service" && argv.includes("start") &&
              !hardeningWorks
              ? 1
              : 0,
          );
        case "loginctl":
          if (argv[1] === "enable-linger" && lingers === "can") {
            files.set("/var/lib/systemd/linger/dev", "");
          }
          if (argv[1] === "disable-linger") files.delete("/var/lib/systemd/linger/dev");
          return ended(argv[1] === "enable-linger" && lingers === "no" ? 1 : 0, "Linger=no\n");
        case "mkdir":
        case "touch":
        case "tee":
          files.set(last, stdin ?? "");
          return ended(0);
        case "install":
          files.set(last, "");
          return ended(0);
        case "rm":
        case "rmdir":
          for (const path of argv.slice(1)) {
            for (const each of files.keys()) {
              if (`${each}/`.startsWith(`${path}/`)) files.delete(each);
            }
          }
          return ended(0);
        default:
          return Promise.resolve(undefined);
      }
    },
    readText: (path) => Promise.resolve(files.get(path)),
    stat: (path) =>
      Promise.resolve(
        files.has(path)
          ? { kind: "found", path, mode: 0o700, uid: 1000 }
          : { kind: "missing", path },
      ),
    list(path) {
      const below = [...files.keys()].filter((each) => each.startsWith(`${path}/`));
      return Promise.resolve([
        ...new Set(below.map((each) => each.slice(path.length + 1).split("/")[0] ?? "")),
      ]);
    },
    writeText: (path, text) => Promise.resolve(void files.set(path, text)),
    removeFile: (path) => Promise.resolve(void files.delete(path)),
  };
  const written = () => [...files.keys()].filter((path) => path.startsWith("/u/")).sort();
  return { ports, files, commands, written };
}

Deno.test("installUnits() installs units and hardening, and leaves no probe behind", async () => {
  const t = setup();
  const steps = await installUnits(t.ports, { dryRun: false, signal });
  assert.deepEqual(steps.filter(({ outcome }) => outcome !== "done"), []);
  assert.ok(t.written().includes("/u/cicd-runner.service"));
  assert.ok(t.written().includes("/u/cicd-agent@.service.d/50-namespaces.conf"));
  assert.ok(![...t.files.keys()].some((path) => path.includes("probe")));
  assert.ok(t.commands.includes("loginctl enable-linger dev"));
  assert.ok(t.commands.includes("systemctl --user start cicd-runner.socket"));
  assert.equal(t.commands.at(-1), "systemctl --user start cicd-clean.timer");
});

Deno.test("installUnits() leaves out hardening that does not work here", async () => {
  const t = setup({ hardeningWorks: false });
  const steps = await installUnits(t.ports, { dryRun: false, signal });
  assert.deepEqual(t.written().filter((path) => path.endsWith(".conf")), []);
  assert.match(steps.find(({ kind }) => kind === "try")?.detail ?? "", /left out/);
});

Deno.test("installUnits() leaves out hardening that would lock the state directory", async () => {
  const t = setup({ owner: { stateDir: "/srv/state" } });
  await installUnits(t.ports, { dryRun: false, signal });
  assert.deepEqual(t.written().filter((path) => path.endsWith(".conf")), []);
});

Deno.test("installUnits() leads the units to programs in a directory of their own", async () => {
  const t = setup({ binDir: "/srv/ci/bin" });
  await installUnits(t.ports, { dryRun: false, signal });
  assert.match(t.files.get("/u/cicd-runner.service.d/10-path.conf") ?? "", /\/srv\/ci\/bin/);
});

Deno.test("installUnits() changes nothing in a dry run, and plans no removal of hardening", async () => {
  const t = setup();
  await installUnits(t.ports, { dryRun: false, signal });
  const before = [...t.files];
  t.commands.length = 0;
  const steps = await installUnits(t.ports, { dryRun: true, signal });
  assert.ok(steps.length > 0 && steps.every(({ outcome }) => outcome === "planned"));
  assert.deepEqual(steps.filter(({ kind }) => kind === "remove"), []);
  assert.deepEqual([...t.files], before);
  assert.deepEqual(t.commands, ["systemctl --user show --property=Version"]);
});

Deno.test("installUnits() writes nothing the second time", async () => {
  const t = setup();
  await installUnits(t.ports, { dryRun: false, signal });
  const steps = await installUnits(t.ports, { dryRun: false, signal });
  assert.deepEqual(steps.filter(({ kind }) => kind === "write" || kind === "make"), []);
});

Deno.test("installUnits() reports a step that fails and makes the others", async () => {
  const t = setup();
  const run: InstallPorts["run"] = (argv, ...rest) =>
    argv.includes("enable") ? Promise.resolve(undefined) : t.ports.run(argv, ...rest);
  const steps = await installUnits({ ...t.ports, run }, { dryRun: false, signal });
  const failed = steps.filter(({ outcome }) => outcome === "failed");
  assert.match(failed[0]?.detail ?? "", /systemctl is not installed/);
  assert.ok(t.written().includes("/u/cicd.slice"));
  assert.ok(t.commands.includes("systemctl --user start cicd-runner.socket"));
});

Deno.test("installUnits() warns where it may not enable lingering, and says how to", async () => {
  const t = setup({ lingers: "no" });
  const steps = await installUnits(t.ports, { dryRun: false, signal });
  const [warning, ...others] = steps.filter(({ outcome }) => outcome !== "done");
  assert.equal(warning?.outcome, "warning");
  assert.match(warning?.detail ?? "", /sudo loginctl enable-linger dev/);
  assert.deepEqual(others, []);
});

Deno.test("installUnits() starts nothing without a user manager, and keeps the hardening", async () => {
  const managed = setup();
  await installUnits(managed.ports, { dryRun: false, signal });
  const t = setup({ manager: false });
  for (const path of managed.written()) t.files.set(path, managed.files.get(path) ?? "");
  t.files.delete("/u/cicd.slice");
  const steps = await installUnits(t.ports, { dryRun: false, noLinger: true, signal });
  assert.deepEqual(t.written(), managed.written());
  assert.ok(t.commands.every((command) => !command.includes("start")));
  assert.match(steps.at(-1)?.detail ?? "", /by hand with: .*cicd-runner daemon/);
  assert.equal(steps.at(-1)?.outcome, "warning");
});

Deno.test("installUnits() restarts a socket whose unit changed, without its service", async () => {
  const t = setup();
  await installUnits(t.ports, { dryRun: false, signal });
  t.files.set("/u/cicd-agent@.socket", "Description=cicd-toolkit, the release before");
  t.commands.length = 0;
  await installUnits(t.ports, { dryRun: false, signal });
  const stop = t.commands.indexOf("systemctl --user stop cicd-agent@web.service");
  assert.ok(stop >= 0);
  assert.equal(t.commands[stop + 1], "systemctl --user restart cicd-agent@web.socket");
  assert.ok(!t.commands.some((command) => command.includes("restart cicd-runner.socket")));
});

Deno.test("installUnits() does for another user what is theirs as that user", async () => {
  const asOwner = ["runuser", "-u", "dev", "--", "env", "HOME=/home/dev"];
  const t = setup({ system: true, owner: { asOwner }, binDir: "/opt/cicd-toolkit/bin" });
  const steps = await installUnits(t.ports, { dryRun: false, signal });
  assert.deepEqual(steps.filter(({ outcome }) => outcome !== "done"), []);
  const own = t.commands.filter((command) => !command.startsWith("runuser -u dev -- env"));
  assert.deepEqual(own.filter((command) => !/^(loginctl|install -d) /.test(command)), []);
  assert.ok(t.files.has("/var/lib/cicd-toolkit/users/1000/sessions"));
  assert.ok(t.files.has("/home/dev/.config/cicd-toolkit"));
});

Deno.test("installUnits() for all users and nobody in particular only writes units", async () => {
  const t = setup({ system: true, owner: "none" });
  await installUnits(t.ports, { dryRun: false, signal });
  assert.deepEqual(t.commands, []);
  assert.ok(t.written().includes("/u/cicd-runner.socket"));
});

Deno.test("uninstallUnits() removes what was installed and nothing else", async () => {
  const t = setup();
  await installUnits(t.ports, { dryRun: false, signal });
  t.files.set("/u/cicd-agent@web.service.d/override.conf", "mine");
  t.files.set("/u/sockets.target.wants/cicd-agent@web.socket", "link");
  t.files.set("/u/sockets.target.wants/other.socket", "link");
  await uninstallUnits(t.ports, { dryRun: false, purge: false, signal });
  assert.deepEqual(t.written(), [
    "/u/cicd-agent@web.service.d/override.conf",
    "/u/sockets.target.wants/other.socket",
  ]);
  assert.ok(t.files.has("/home/dev/.local/state/cicd-toolkit"));
  assert.ok(!t.commands.some((command) => command.includes("cicd.slice")));
});

Deno.test("uninstallUnits() removes data too in a purge, and stops the jobs", async () => {
  const t = setup({ system: true });
  await installUnits(t.ports, { dryRun: false, signal });
  t.files.set("/var/lib/cicd-toolkit", "");
  t.files.set("/home/dev/.local/share/systemd/timers/stamp-cicd-clean.timer", "");
  const steps = await uninstallUnits(t.ports, { dryRun: false, purge: true, signal });
  assert.deepEqual(steps.filter(({ outcome }) => outcome !== "done"), []);
  assert.ok(t.commands.includes("systemctl --user stop cicd.slice"));
  assert.deepEqual([...t.files.keys()].filter((path) => /^\/(home|var)\/.*cicd/.test(path)), []);
});

Deno.test("uninstallUnits() reports nothing the second time, or without a manager", async () => {
  for (const manager of [true, false]) {
    const t = setup({ manager });
    const steps = await uninstallUnits(t.ports, { dryRun: false, purge: false, signal });
    assert.deepEqual(steps.filter(({ outcome }) => outcome !== "done"), []);
  }
});

Deno.test("uninstallUnits() changes nothing in a dry run", async () => {
  const t = setup();
  await installUnits(t.ports, { dryRun: false, signal });
  const before = [...t.files];
  const steps = await uninstallUnits(t.ports, { dryRun: true, purge: true, signal });
  assert.ok(steps.every(({ outcome }) => outcome === "planned"));
  assert.deepEqual([...t.files], before);
});

Deno.test("installUnits() keeps a unit that was written by hand, and says so", async () => {
  const t = setup();
  const [path, mine] = ["/u/cicd-runner.service", "Description=CICD AI Toolkit Runner"];
  t.files.set(path, mine);
  t.files.set(`${path}.orig`, "an older one");
  const steps = await installUnits(t.ports, { dryRun: false, signal });
  assert.equal(t.files.get(path), "Description=cicd-toolkit cicd-runner.service");
  assert.equal(t.files.get(`${path}.orig`), "an older one");
  assert.equal(t.files.get(`${path}.orig2`), mine);
  assert.match(steps.find(({ what }) => what === `${path}.orig2`)?.detail ?? "", /is replaced/);
  const again = await installUnits(t.ports, { dryRun: false, signal });
  assert.ok(!again.some(({ what }) => what.includes(".orig")));
});

Deno.test("installUnits() replaces no unit that it cannot keep", async () => {
  const t = setup();
  t.files.set("/u/cicd-runner.service", "mine");
  const writeText: InstallPorts["writeText"] = (path, ...rest) =>
    path.endsWith(".orig") ? Promise.reject(new Error("full")) : t.ports.writeText(path, ...rest);
  await installUnits({ ...t.ports, writeText }, { dryRun: false, signal });
  assert.equal(t.files.get("/u/cicd-runner.service"), "mine");
});

Deno.test("uninstallUnits() leaves a unit that was written by hand", async () => {
  const t = setup();
  await installUnits(t.ports, { dryRun: false, signal });
  t.files.set("/u/cicd-runner.service", "mine");
  await uninstallUnits(t.ports, { dryRun: false, purge: true, signal });
  assert.deepEqual(t.written(), ["/u/cicd-runner.service"]);
});

Deno.test("uninstallUnits() leaves nothing in a purge: drop-ins, compiled code, lingering", async () => {
  for (const lingers of ["can", "yes"] as const) {
    const t = setup({ lingers });
    await installUnits(t.ports, { dryRun: false, signal });
    const control = "/home/dev/.config/systemd/user.control";
    for (
      const path of [
        "/u/cicd-agent@web.service.d/override.conf",
        "/u/cicd-web.slice.d/override.conf",
        `${control}/cicd-agent@web.service.d/50-MemoryMax.conf`,
        "/tmp/deno-compile-cicd-runner.cache",
      ]
    ) {
      t.files.set(path, "mine").set(path.slice(0, path.lastIndexOf("/")), "");
    }
    t.files.set("/u/other.service.d/override.conf", "another's");
    await uninstallUnits(t.ports, { dryRun: false, purge: true, signal });
    assert.deepEqual(
      [...t.files.keys()].filter((path) => path.includes("cicd") && !/^\/(units|run)/.test(path)),
      [],
    );
    assert.ok(t.files.has("/u/other.service.d/override.conf"));
    // Lingering stays where it was there before.
    assert.equal(t.files.has("/var/lib/systemd/linger/dev"), lingers === "yes");
  }
});
