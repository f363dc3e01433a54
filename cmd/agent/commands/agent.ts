/**
 * `cicd-agent`: runs the jobs of one project.
 *
 * @module
 */
import { LOG, PROGRAM } from "@lib/foundations/config/program_keys.ts";
import { systemClock } from "@lib/core/clock.ts";
import { CicdError } from "@lib/core/errors.ts";
import { parseProjectName, projectNameProblem } from "@lib/core/ids.ts";
import { VERSION } from "@lib/core/version.ts";
import { MESSAGE_IDS } from "@lib/foundations/log/message_ids.ts";
import { readDaemonConfig, readDaemonFlags } from "../../shared/daemon_flags.ts";
import { untilStopped } from "../../shared/lifecycle.ts";
import { openProgramLog, takePlatform } from "../../shared/platform.ts";
import { startAgent } from "../wire.ts";

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
  const { notifier, listenFds, setCloseOnExec, openJournal } = takePlatform();
  let { config } = await readDaemonConfig(flags, new AbortController().signal);
  await using log = openProgramLog("cicd-agent", { config: config.of(LOG), env, openJournal });
  await using agent = await startAgent({
    project,
    config: () => config,
    env,
    log: log.child({ project }),
    listeners: listenFds.map((socket) => ({ kind: "fd", ...socket })),
    setCloseOnExec,
    listenPath: flags.own["listen"],
  });
  log.info("Ready", { version: VERSION, messageId: MESSAGE_IDS.ready, project });
  await untilStopped({
    notifier,
    clock: systemClock,
    log,
    status: () => agent.status(),
    idleForMs: () => agent.idleForMs(),
    idleExitMs: () => config.of(PROGRAM).agentIdleExitMs,
    unhealthyReason: () => agent.unhealthyReason(),
    async reload(signal) {
      ({ config } = await readDaemonConfig(flags, signal));
      log.setLevel(config.of(LOG).level);
    },
  });
  return 0;
}
