import assert from "node:assert/strict";
import { bootMachine, type Machine } from "../support/machine.ts";
import { putRelease } from "../support/release.ts";

const SOCKET = "/run/user/1000/cicd-runner.sock";
const user = "dev";

/** A machine that sees a release and its archive in `/release`. */
class Fixture implements AsyncDisposable {
  readonly #directory: string;
  readonly machine: Machine;

  constructor(directory: string, machine: Machine) {
    this.#directory = directory;
    this.machine = machine;
  }

  /** Where the release lies on the host. */
  get release(): string {
    return `${this.#directory}/release`;
  }

  install(...args: readonly string[]) {
    return this.machine.exec(["/release/release/install.sh", ...args], {
      user,
      timeoutMs: 120_000,
    });
  }

  systemctl(...args: readonly string[]): Promise<string> {
    return this.machine.run(["systemctl", "--user", ...args], { user });
  }

  /** Sends one request to the runner's socket; returns the status. */
  request(): Promise<string> {
    const url = "http://localhost/health";
    const argv = ["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}"];
    return this.machine.run([...argv, "--max-time", "30", "--unix-socket", SOCKET, url], { user });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.machine[Symbol.asyncDispose]();
    await Deno.remove(this.#directory, { recursive: true });
  }
}

async function setup(options: { readonly archive?: boolean } = {}): Promise<Fixture> {
  const directory = await Deno.makeTempDir({ prefix: "cicd-install-" });
  try {
    // Others than its maker have to see into it.
    await Deno.chmod(directory, 0o755);
    const signal = AbortSignal.timeout(300_000);
    await putRelease(`${directory}/release`, { ...options, signal });
    const binds = [{ host: directory, machine: "/release" }];
    return new Fixture(directory, await bootMachine({ binds }));
  } catch (error) {
    await Deno.remove(directory, { recursive: true });
    throw error;
  }
}

Deno.test("install.sh installs for one user, and the first request starts the runner", async () => {
  await using t = await setup();
  const done = await t.install();
  assert.equal(done.code, 0, done.stderr);
  assert.match(done.stdout, /^done {4}write \d+ files in \/home\/dev\/.config\/systemd\/user$/m);
  assert.match(
    done.stdout,
    /\n {2}export PATH="\/home\/dev\/.local\/bin:\$PATH"\nTry it:\n {2}cicd-runner run -- echo hello\n$/,
  );
  assert.equal(await t.systemctl("is-active", "cicd-runner.socket"), "active");
  assert.equal(await t.request(), "200");
  assert.equal(await t.systemctl("is-active", "cicd-runner.service"), "active");
  assert.equal(await t.systemctl("is-active", "cicd-clean.timer"), "active");
  assert.equal(await t.systemctl("is-enabled", "cicd-clean.timer"), "enabled");
  const home = await t.machine.run(["find", "/home/dev", "-name", "*.tmp.*"], { user });
  assert.equal(home, "");
  // Hardened, the runner may write to its own cgroup, and to no other.
  const pid = await t.systemctl("show", "--property=MainPID", "--value", "cicd-runner.service");
  const [, cgroup = ""] =
    /^0::(\/.+)$/m.exec(await t.machine.run(["cat", `/proc/${pid}/cgroup`])) ?? [];
  const mounts = (await t.machine.run(["cat", `/proc/${pid}/mountinfo`])).split("\n")
    .map((line) => line.split(" ")).filter(([, , , , path = ""]) =>
      path.startsWith("/sys/fs/cgroup")
    )
    .map(([, , , , path = "", options = ""]) => [path, options.slice(0, 2)]);
  assert.deepEqual(mounts, [["/sys/fs/cgroup", "ro"], [`/sys/fs/cgroup${cgroup}`, "rw"]]);
});

Deno.test("install.sh installs units that systemd reads without a warning", async () => {
  await using t = await setup();
  await t.install();
  const runner = ["cicd-runner.service", "cicd-runner.socket"];
  const agent = ["cicd-agent@web.service", "cicd-agent@web.socket"];
  const housekeeping = ["cicd-clean.service", "cicd-clean.timer"];
  const verify = ["systemd-analyze", "--user", "verify", ...runner, ...agent, ...housekeeping];
  const { code, stderr } = await t.machine.exec(verify, { user });
  assert.deepEqual({ code, stderr }, { code: 0, stderr: "" });
});

Deno.test("install.sh upgrades the programs while a job runs on", async () => {
  await using t = await setup();
  await t.install();
  await t.request();
  const pid = () => t.systemctl("show", "--property=MainPID", "--value", "cicd-runner.service");
  const before = await pid();
  const job = ["systemd-run", "--user", "--quiet", "--unit=cicd-job-x-1", "--slice=cicd-web.slice"];
  await t.machine.run([...job, "sleep", "600"], { user });
  await Deno.writeTextFile(`${t.release}/lib/cicd-toolkit/later`, "");
  const done = await t.install();
  assert.equal(done.code, 0, done.stderr);
  assert.notEqual(await pid(), before);
  assert.equal(await t.systemctl("is-active", "cicd-job-x-1.service"), "active");
  assert.equal(await t.request(), "200");
});

Deno.test("install.sh refuses an archive that is not the one released", async () => {
  await using t = await setup({ archive: true });
  await t.install();
  const current = ["readlink", "/home/dev/.local/lib/cicd-toolkit/current"];
  const before = await t.machine.run(current, { user });
  const { version } = JSON.parse(
    await Deno.readTextFile(`${t.release}/lib/cicd-toolkit/build.json`),
  );
  const sums = `${t.release}-archive/checksums.txt`;
  const right = await Deno.readTextFile(sums);
  const base = ["--version", version, "--base-url", "file:///release/release-archive"];
  await Deno.writeTextFile(sums, right.replace(/^[0-9a-f]{8}/, "00000000"));
  const refused = await t.install(...base);
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /checksum .* nothing was installed/);
  assert.equal(await t.machine.run(current, { user }), before);
  await Deno.writeTextFile(sums, right);
  assert.equal((await t.install(...base)).code, 0);
});

Deno.test("install.sh --uninstall leaves state, jobs and other drop-ins; --purge leaves nothing", async () => {
  await using t = await setup();
  await t.install();
  const dropIn = "/home/dev/.config/systemd/user/cicd-agent@web.service.d/override.conf";
  await t.machine.run(["mkdir", "-p", dropIn.replace(/\/[^/]*$/, "")], { user });
  await t.machine.run(["tee", dropIn], { user, stdin: "[Service]\nCPUQuota=50%\n" });
  const job = ["systemd-run", "--user", "--quiet", "--unit=cicd-job-x-1", "--slice=cicd-web.slice"];
  await t.machine.run([...job, "sleep", "600"], { user });
  assert.equal((await t.install("--uninstall")).code, 0);
  assert.equal(await t.systemctl("is-active", "cicd-job-x-1.service"), "active");
  await t.machine.run(["test", "-d", "/home/dev/.local/state/cicd-toolkit"], { user });
  await t.machine.run(["test", "-f", dropIn], { user });
  assert.equal((await t.install("--purge")).code, 1);
  assert.equal((await t.install("--purge", "--yes")).code, 0);
  const left = await t.machine.run(["find", "/home/dev", "-path", "*cicd*"], { user });
  assert.equal(left, "");
  const state = await t.machine.exec(["systemctl", "--user", "is-active", "cicd-job-x-1"], {
    user,
  });
  assert.notEqual(state.stdout, "active\n");
});

Deno.test("install.sh --system installs for all users, sets one up, and leaves nothing behind", async () => {
  await using t = await setup();
  const installAsRoot = (...args: readonly string[]) =>
    t.machine.exec(["/release/release/install.sh", "--system", "--user", user, ...args], {
      timeoutMs: 120_000,
    });
  const places = ["/root", "/home/dev", "/opt", "/etc/systemd/user", "/var/lib"];
  const left = async () => (await t.machine.exec(["find", ...places, "-path", "*cicd*"])).stdout;
  const done = await installAsRoot();
  assert.equal(done.code, 0, done.stderr);
  assert.equal(await t.systemctl("is-active", "cicd-runner.socket"), "active");
  assert.equal(await t.request(), "200");
  const path = await t.systemctl(
    "show",
    "--property=FragmentPath",
    "--value",
    "cicd-runner.socket",
  );
  assert.match(path, /^\/etc\/(xdg\/)?systemd\/user\/cicd-runner.socket$/);
  const own = ["/home/dev/.local/state/cicd-toolkit", "/var/lib/cicd-toolkit/users/1000/sessions"];
  const stat = await t.machine.run(["stat", "--format=%U %a", ...own]);
  assert.equal(stat, "dev 700\ndev 700");
  assert.equal(await t.machine.run(["find", "/root", "-path", "*cicd*"]), "");
  const removed = await installAsRoot("--purge", "--yes");
  assert.equal(removed.code, 0, removed.stderr);
  assert.equal(await left(), "");
});

Deno.test("install.sh --uninstall has nothing to do the second time", async () => {
  await using t = await setup();
  await t.install();
  for (let times = 0; times < 2; times++) {
    const done = await t.install("--uninstall");
    assert.equal(done.code, 0, done.stderr);
    assert.match(done.stdout, /Configuration and state stay/);
  }
});

Deno.test("install.sh --dry-run changes nothing", async () => {
  await using t = await setup();
  const list = ["find", "/home/dev", "-newer", "/tmp/mark"];
  await t.machine.run(["touch", "/tmp/mark"], { user });
  const done = await t.install("--dry-run");
  assert.equal(done.code, 0, done.stderr);
  assert.match(done.stdout, /would write: .*cicd-runner.service/);
  assert.equal(await t.machine.run(list, { user }), "");
});

Deno.test("install.sh installs housekeeping that wakes the runner and reports to the journal", async () => {
  await using t = await setup();
  await t.install();
  await t.systemctl("start", "cicd-clean.service");
  assert.equal(
    await t.systemctl("show", "--property=Result", "--value", "cicd-clean.service"),
    "success",
  );
  assert.equal(await t.systemctl("is-active", "cicd-runner.service"), "active");
  const journal = ["journalctl", "--user", "-t", "cicd-clean", "-o", "cat"];
  assert.match(await t.machine.run(journal, { user }), /Nothing to remove|Removed/);
  // A runner that was switched off stays off.
  await t.systemctl("stop", "cicd-runner.socket", "cicd-runner.service");
  await t.systemctl("start", "cicd-clean.service");
  const state = await t.machine.exec(["systemctl", "--user", "is-active", "cicd-runner.service"], {
    user,
  });
  assert.equal(state.stdout, "inactive\n");
});

Deno.test("install.sh installs a runner that is there again after a power cut", async () => {
  await using t = await setup();
  await t.install();
  await t.machine.run(["sync"]);
  await t.machine.restart("power_cut");
  assert.equal(await t.request(), "200");
});
