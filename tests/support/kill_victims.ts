/**
 * The processes that the kill suite kills.
 *
 * @module
 */
import type { Victim } from "./kill_plan.ts";
import { killProcess } from "./machine_host.ts";
import type { SuiteInMachine } from "./suite_in_machine.ts";

/** Finds the victims and kills them. */
export class Killer {
  readonly #suite: SuiteInMachine;
  readonly #signal: AbortSignal;

  constructor(suite: SuiteInMachine, signal: AbortSignal) {
    this.#suite = suite;
    this.#signal = signal;
  }

  /** Main processes of a victim, as the host numbers them. */
  async pids(victim: Victim, projects: readonly string[]): Promise<readonly number[]> {
    const agents = [...new Set(projects)].map((project) =>
      `app.slice/app-cicd\\x2dagent.slice/cicd-agent@${project}.service`
    );
    const groups = {
      runner: ["app.slice/cicd-runner.service"],
      agent: agents,
      both: ["app.slice/cicd-runner.service", ...agents],
      bus: ["session.slice/dbus.service"],
      manager: ["init.scope"],
    }[victim];
    return (await Promise.all(groups.map((group) => this.#suite.pidsOf(group)))).flat();
  }

  /** @returns Whether there was anyone to kill. */
  async kill(victim: Victim, projects: readonly string[]): Promise<boolean> {
    this.#signal.throwIfAborted();
    const pids = await this.pids(victim, projects);
    if (victim === "manager") {
      await this.#suite.machine.run(["systemctl", "kill", "--signal=KILL", "user@1000.service"]);
    } else {
      for (const pid of pids) killProcess(pid, "SIGKILL");
    }
    return pids.length > 0;
  }

  /** Starts the user's manager again once the killed one is gone. */
  async startManager(...options: readonly string[]): Promise<void> {
    const { machine } = this.#suite;
    await machine.waitFor("the end of the user's manager", async () => {
      const { stdout } = await machine.exec(["systemctl", "is-active", "user@1000.service"]);
      return /^(failed|inactive)/.test(stdout);
    });
    await machine.run(["systemctl", "start", ...options, "user@1000.service"]);
  }
}
