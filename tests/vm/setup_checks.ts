/**
 * The machine itself, the installation, and that both outlive all the rest.
 *
 * @module
 */
import type { Check } from "./check.ts";
import { AGENT, api, HOME, MANAGER, must, PAYLOAD, read, RUNNER, show, until } from "./guest.ts";

/** Nobody leaves in between: every start of a program costs here. */
const CONFIG = `idle_exit: 1h
agent_idle_exit: 1h
queue: { max_running: 8 }
projects:
  web: { containers: { allow: [user] } }
`;

/** The machine is what the checks are about. */
export const bootCheck: Check = {
  name: "boot",
  always: true,
  async carryOut(tell) {
    await until(
      "the user's service manager",
      async () =>
        await read(`${MANAGER}/cgroup.controllers`) !== undefined &&
        (await Deno.stat("/run/user/1000/bus").then(() => true, () => false)),
      120_000,
    );
    const controllers = await read(`${MANAGER}/cgroup.controllers`) ?? "";
    const [systemd = ""] = (await must(["systemctl", "--version"])).split("\n");
    const kernel = await must(["uname", "-r"]);
    tell(`${systemd}, Linux ${kernel}, delegated: ${controllers}`);
    const delegated = ["cpu", "memory", "pids"].every((name) =>
      controllers.split(" ").includes(name)
    );
    return {
      rows: [{
        limit: "controllers",
        set: "nothing: Debian 12 as it comes",
        kernel: `delegates ${controllers}`,
        result: "",
        ok: delegated,
      }],
    };
  },
};

/** The release is installed as its user installs it. */
export const installCheck: Check = {
  name: "install",
  always: true,
  async carryOut(tell) {
    await Deno.mkdir(`${HOME}/.config/cicd-toolkit`, { recursive: true });
    await Deno.writeTextFile(`${HOME}/.config/cicd-toolkit/config.yaml`, CONFIG, { mode: 0o600 });
    await must([`${PAYLOAD}/release/install.sh`, "--yes"], { timeoutMs: 240_000 });
    tell("installed; the first request");
    const begun = performance.now();
    await api("/health");
    tell(`the first answer came after ${((performance.now() - begun) / 1_000).toFixed(1)} s`);
    return { rows: [] };
  },
};

/** No limit that a job ran into took a program of the suite along. */
export const survivalCheck: Check = {
  name: "survival",
  async carryOut() {
    await api("/health");
    const rows = [];
    for (const unit of [RUNNER, AGENT]) {
      const [restarts, result, policy, group] = [
        await show(unit, "NRestarts"),
        await show(unit, "Result"),
        await show(unit, "OOMPolicy"),
        await show(unit, "ControlGroup"),
      ];
      const events = await read(`/sys/fs/cgroup${group}/memory.events`) ?? "";
      const kills = /^oom_kill (\d+)$/m.exec(events)?.[1] ?? "none known";
      rows.push({
        limit: "`OOMPolicy`",
        set: `${policy} for \`${unit}\``,
        kernel: `oom_kill ${kills} in its own group`,
        result: `${restarts} restarts, last result ${result}`,
        ok: policy === "continue" && kills === "0" && restarts === "0" && result === "success",
      });
    }
    return { rows };
  },
};
