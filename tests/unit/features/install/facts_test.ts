import assert from "node:assert/strict";
import { type DoctorPorts, gatherFacts } from "@lib/features/install/facts.ts";

function ports(overrides: Partial<DoctorPorts>): DoctorPorts {
  return {
    subject: {
      user: "dev",
      uid: 1000,
      runtimeDir: "/run/user/1000",
      configDir: "/home/dev/.config/cicd-toolkit",
      configFile: "/home/dev/.config/cicd-toolkit/config.yaml",
      stateDir: "/home/dev/.local/state/cicd-toolkit",
      socket: "/run/user/1000/cicd-runner.sock",
      keyFile: "/home/dev/.local/state/cicd-toolkit/secrets.key",
      unitsDir: "/units",
      diskFloorBytes: 1,
      version: "1.0.0",
    },
    run: () => Promise.resolve(undefined),
    readText: () => Promise.resolve(undefined),
    stat: (path) => Promise.resolve({ kind: "missing", path }),
    freeBytes: () => Promise.resolve(undefined),
    askEngine: () => Promise.resolve({ kind: "none" }),
    askRunner: () => Promise.resolve({ kind: "silent", why: "no socket" }),
    ...overrides,
  };
}

const signal = new AbortController().signal;

Deno.test("gatherFacts() works on a machine that has nothing", async () => {
  const facts = await gatherFacts(ports({}), signal);
  assert.equal(facts.manager.kind, "no_systemd");
  assert.equal(facts.lingers, undefined);
  assert.deepEqual(facts.units, []);
  assert.deepEqual([facts.git, facts.gitLfs], [undefined, undefined]);
});

Deno.test("gatherFacts() asks git for its version, and for LFS, which may be missing", async () => {
  const facts = await gatherFacts(
    ports({
      run: (argv) =>
        Promise.resolve(
          argv.join(" ") === "git --version"
            ? { code: 0, stdout: "git version 2.39.5\nmore\n", stderr: "" }
            : argv[0] === "git"
            ? { code: 1, stdout: "", stderr: "git: 'lfs' is not a git command" }
            : undefined,
        ),
    }),
    signal,
  );
  assert.deepEqual([facts.git, facts.gitLfs], ["git version 2.39.5", undefined]);
});

Deno.test("gatherFacts() reads the manager, its controllers and its units, whose values may hold =", async () => {
  const show = [
    "Id=cicd-agent@web.service",
    "FragmentPath=/u/cicd-agent@.service",
    "ActiveState=failed",
    "Result=oom-kill=x",
    "NeedDaemonReload=no",
    "KillMode=mixed",
  ].join("\n");
  const facts = await gatherFacts(
    ports({
      stat: (path) =>
        Promise.resolve(
          path === "/run/systemd/system"
            ? { kind: "found", path, mode: 0o755, uid: 0 }
            : { kind: "missing", path },
        ),
      run: (argv) => {
        const stdout = argv[0] === "cat"
          ? `cpu memory\n# ${argv[1]}`
          : argv[0] === "loginctl"
          ? "Linger=no\n"
          : argv.includes("--property=Version")
          ? "Version=252.39\nControlGroup=/user.slice/x\n"
          : `${show}\n\n\nId=cicd-runner.socket\nActiveState=active\n`;
        return Promise.resolve({ code: 0, stdout, stderr: "" });
      },
      readText: (path) => Promise.resolve(path.includes("cicd-agent@.service") ? path : undefined),
    }),
    signal,
  );
  assert.equal(facts.manager.kind === "answers" && facts.manager.controllers?.[0], "cpu");
  assert.match(JSON.stringify(facts.manager), /\/sys\/fs\/cgroup\/user.slice\/x\/cgroup/);
  assert.equal(facts.lingers, false);
  assert.deepEqual(facts.units, [{
    file: { name: "cicd-agent@.service", text: "/units/cicd-agent@.service" },
    installedText: "/u/cicd-agent@.service",
    instances: [{
      name: "cicd-agent@web.service",
      activeState: "failed",
      result: "oom-kill=x",
      needsReload: false,
      killMode: "mixed",
    }],
  }]);
});
