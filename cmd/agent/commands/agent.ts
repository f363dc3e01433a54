/**
 * `cicd-agent`: runs the jobs of one project.
 *
 * @module
 */
import { LOG } from "@lib/foundations/config/program_keys.ts";
import { systemClock } from "@lib/core/clock.ts";
import { CicdError } from "@lib/core/errors.ts";
import { parseProjectName, projectNameProblem } from "@lib/core/ids.ts";
import { VERSION } from "@lib/core/version.ts";
import { MESSAGE_IDS } from "@lib/foundations/log/message_ids.ts";
import { readDaemonConfig, readDaemonFlags } from "../../shared/daemon_flags.ts";
import { untilStopped } from "../../shared/lifecycle.ts";
import { takePlatform } from "../../shared/platform.ts";
import { openProgramLog } from "../../shared/program_log.ts";
import { startAgent } from "../wire.ts";

/**
 * Makes the umask of jobs the agent's own, so that a checkout and restored caches have the modes
 * that the job would give them. Every file of the agent itself has an explicit mode.
 *
 * @returns 022 under the mask of the installed unit, which allows nothing to others; otherwise the
 * mask that the unit or the user has set.
 */
function takeJobUmask(): number {
  const given = Deno.umask(0o077);
  const mask = given === 0o077 || (given & 0o700) !== 0 ? 0o022 : given;
  Deno.umask(mask);
  return mask;
}

/**
 * Runs the agent until it is stopped or idle.
 *
 * @returns The exit code.
 * @throws {CicdError} If it cannot start.
 */
export async function runAgent(args: readonly string[]): Promise<number> {
  const flags = readDaemonFlags(args, ["session-id", "listen"]);
  const env = Deno.env.toObject();
  const name = flags.own["session-id"] ?? env["SESSION_ID"] ?? "";
  const project = parseProjectName(name);
  if (project === undefined) {
    throw new CicdError(
      "usage",
      `Cannot start the agent: --session-id "${name.slice(0, 80)}" ${projectNameProblem(name)}`,
    );
  }
  const { notifier, listenFds, keptFds, setCloseOnExec, openJournal } = takePlatform();
  const umask = takeJobUmask();
  const running = new AbortController();
  let { config, stamp } = await readDaemonConfig(flags, running.signal);
  await using log = openProgramLog("cicd-agent", {
    config: config.of(LOG),
    env,
    openJournal,
    // As that of its unit: `journalctl -t cicd-agent-PROJECT` has all of the agent.
    identifier: `cicd-agent-${project}`,
  });
  const reload = async (signal: AbortSignal) => {
    ({ config, stamp } = await readDaemonConfig(flags, signal));
    log.setLevel(config.of(LOG).level);
  };
  await using agent = await startAgent({
    project,
    config: () => config,
    reload,
    async configure(wanted) {
      if (wanted === stamp) return;
      await reload(running.signal);
      // The file may have changed again since the runner read it: it is read once for each stamp.
      stamp = wanted;
    },
    env,
    umask,
    descriptors: { ...notifier, kept: new Map(keptFds.map(({ name, fd }) => [name, fd])) },
    log: log.child({ project }),
    listeners: listenFds.map((socket) => ({ kind: "fd", ...socket })),
    setCloseOnExec,
    isOnDemand: listenFds.length > 0 || flags.own["listen"] !== undefined,
    listenPath: flags.own["listen"],
  });
  log.info("Ready", { version: VERSION, messageId: MESSAGE_IDS.ready, project });
  await untilStopped({
    notifier,
    clock: systemClock,
    log,
    status: () => agent.status(),
    idleForMs: () => agent.idleForMs(),
    idleExitMs: () => agent.idleExitMs(),
    unhealthyReason: () => agent.unhealthyReason(),
    reload,
  });
  return 0;
}
