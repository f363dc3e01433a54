import assert from "node:assert/strict";
import type { InstallPorts } from "@lib/features/install/install_ports.ts";
import { HARDENING_NAMES, UNIT_NAMES } from "@lib/features/install/unit_files.ts";
import { installUnits, uninstallUnits } from "@lib/features/install/units_installer.ts";

const signal = new AbortController().signal;

function setup(options: { readonly hardeningWorks?: boolean; readonly linked?: boolean } = {}) {
  const { hardeningWorks = true, linked = true } = options;
  const files = new Map<string, string>();
  for (const name of UNIT_NAMES) files.set(`/units/${name}`, `text of ${name}`);
  for (const name of HARDENING_NAMES) files.set(`/units/hardening/${name}`, `text of ${name}`);
  if (linked) files.set("/home/dev/.local/bin/cicd-runner", "");
  const commands: string[] = [];
  const ports: InstallPorts = {
    subject: {
      user: "dev",
      home: "/home/dev",
      unitsDir: "/units",
      unitDir: "/u",
      binDir: "/srv/ci/bin",
      configDir: "/home/dev/.config/cicd-toolkit",
      stateDir: "/home/dev/.local/state/cicd-toolkit",
      cacheDir: "/home/dev/.cache/cicd-toolkit",
      runtimeDir: "/run/user/1000",
    },
    run(argv) {
      commands.push(argv.join(" "));
      const code = argv.includes("start") && argv.includes("cicd-toolkit-probe.service") &&
          !hardeningWorks
        ? 1
        : 0;
      return Promise.resolve({ code, stdout: "", stderr: "" });
    },
    readText: (path) => Promise.resolve(files.get(path)),
    exists: (path) => Promise.resolve(files.has(path)),
    writeText: (path, text) => Promise.resolve(void files.set(path, text)),
    removeFile: (path) => Promise.resolve(void files.delete(path)),
    makePrivateDir: (path) => Promise.resolve(void files.set(path, "")),
  };
  const written = () => [...files.keys()].filter((path) => path.startsWith("/u/")).sort();
  return { ports, files, commands, written };
}

Deno.test("installUnits() installs units and hardening, and leaves no probe behind", async () => {
  const t = setup();
  const steps = await installUnits(t.ports, { dryRun: false, signal });
  assert.ok(steps.every(({ outcome }) => outcome === "done"));
  assert.ok(t.written().includes("/u/cicd-runner.service"));
  assert.ok(t.written().includes("/u/cicd-agent@.service.d/50-namespaces.conf"));
  assert.ok(![...t.files.keys()].some((path) => path.includes("probe")));
  assert.ok(t.commands.includes("loginctl enable-linger dev"));
  assert.equal(t.commands.at(-1), "systemctl --user start cicd-runner.socket cicd-clean.timer");
});

Deno.test("installUnits() leaves out hardening that does not work here", async () => {
  const t = setup({ hardeningWorks: false });
  await installUnits(t.ports, { dryRun: false, signal });
  assert.deepEqual(t.written().filter((path) => path.endsWith(".conf")), []);
});

Deno.test("installUnits() leads the units to programs in a folder of their own", async () => {
  const t = setup({ linked: false });
  await installUnits(t.ports, { dryRun: false, signal });
  assert.match(t.files.get("/u/cicd-runner.service.d/10-path.conf") ?? "", /\/srv\/ci\/bin/);
});

Deno.test("installUnits() changes nothing in a dry run", async () => {
  const t = setup();
  const before = [...t.files];
  const steps = await installUnits(t.ports, { dryRun: true, signal });
  assert.ok(steps.length > 0 && steps.every(({ outcome }) => outcome === "planned"));
  assert.deepEqual([...t.files], before);
  assert.deepEqual(t.commands, []);
});

Deno.test("installUnits() writes nothing the second time", async () => {
  const t = setup();
  await installUnits(t.ports, { dryRun: false, signal });
  const steps = await installUnits(t.ports, { dryRun: false, signal });
  assert.deepEqual(steps.filter(({ kind }) => kind === "write" || kind === "make"), []);
});

Deno.test("installUnits() reports a step that fails and makes the others", async () => {
  const t = setup();
  const ports = { ...t.ports, run: () => Promise.resolve(undefined) };
  const steps = await installUnits(ports, { dryRun: false, signal });
  const failed = steps.filter(({ outcome }) => outcome === "failed");
  assert.match(failed[0]?.detail ?? "", /there is no loginctl/);
  assert.ok(t.written().includes("/u/cicd.slice"));
});

Deno.test("uninstallUnits() removes what was installed and nothing else", async () => {
  const t = setup();
  await installUnits(t.ports, { dryRun: false, signal });
  t.files.set("/u/cicd-agent@web.service.d/override.conf", "mine");
  await uninstallUnits(t.ports, { dryRun: false, signal });
  assert.deepEqual(t.written(), ["/u/cicd-agent@web.service.d/override.conf"]);
});
