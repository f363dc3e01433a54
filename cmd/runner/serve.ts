/**
 * Starts the runner and serves until it should stop.
 *
 * @module
 */
import { systemClock } from "@lib/core/clock.ts";
import { ignore, toCicdError } from "@lib/core/errors.ts";
import type { ProjectName } from "@lib/core/ids.ts";
import { VERSION } from "@lib/core/version.ts";
import { type PassedSocket, planListeners, readTls } from "@lib/api/listeners.ts";
import { LISTEN, LOG, PROGRAM } from "@lib/foundations/config/program_keys.ts";
import { MESSAGE_IDS } from "@lib/foundations/log/message_ids.ts";
import { readDaemonFlags } from "../shared/daemon_flags.ts";
import { untilStopped } from "../shared/lifecycle.ts";
import type { Platform } from "../shared/platform.ts";
import { keepCode } from "../shared/kept_code.ts";
import { openProgramLog } from "../shared/program_log.ts";
import { runProgram } from "../shared/run_program.ts";
import { ConfigHolder } from "./config_holder.ts";
import { finishAnswers, leaveLinks } from "./finish_answers.ts";
import { startRunner } from "./wire.ts";

/**
 * Exit code of a runner that accepted a job while it was exiting: a failure, so that the service
 * manager starts the next one at once, without waiting for a connection.
 */
const EXIT_AGAIN = 75;

/** The means of a runner, taken before anything else was loaded. */
interface ServeInput {
  readonly platform: Platform;
  /** The passed sockets. */
  readonly sockets: readonly PassedSocket[];
  /** A project whose agent is being started already. */
  readonly woken?: ProjectName;
  /** Keeps a request to stop from ending the process; `asked` tells of one before it serves. */
  readonly stops: Disposable & { readonly asked: AbortSignal };
}

/**
 * Serves until the runner is stopped or idle. A runner that cannot start tells waiting clients why.
 *
 * @returns The exit code.
 */
export async function serve(args: readonly string[], input: ServeInput): Promise<number> {
  return await runProgram("cicd-runner", async () => {
    try {
      const code = await serveUntilStopped(args, input);
      keepCode({ isExit: true });
      return code;
    } catch (thrown) {
      input.stops[Symbol.dispose]();
      if (input.sockets.length > 0) {
        const { refuseStart } = await import("./refuse_start.ts");
        await refuseStart(toCicdError(thrown), input.sockets, input.platform.setCloseOnExec)
          .catch(ignore("the sockets are closed already; the reason is reported below"));
      }
      throw thrown;
    }
  });
}

async function serveUntilStopped(
  args: readonly string[],
  { platform, sockets, woken, stops }: ServeInput,
): Promise<number> {
  const flags = readDaemonFlags(args);
  const env = Deno.env.toObject();
  const { notifier, isService, setCloseOnExec, openJournal } = platform;
  const start = new AbortController();
  const { holder, warnings } = await ConfigHolder.open({ flags, env }, start.signal);
  await using log = openProgramLog("cicd-runner", {
    config: holder.current.of(LOG),
    env,
    openJournal,
  });
  for (const warning of warnings) {
    log.warning("The configuration may be wrong", { warning });
  }
  const activated = sockets.length > 0;
  const { listeners, ownsTcp, warnings: dangers } = planListeners(holder.current, sockets);
  for (const danger of dangers) log.warning("The TCP listener is not safe", { danger });
  await using runner = await startRunner({
    config: holder,
    flags,
    env,
    log,
    isService,
    setCloseOnExec,
    listeners,
    warnings: dangers,
    ...(woken === undefined ? {} : { woken }),
  });
  log.info("Ready", {
    version: VERSION,
    messageId: MESSAGE_IDS.ready,
    ...(activated ? {} : { socket: holder.current.of(PROGRAM).socket }),
    ...(ownsTcp ? { listen: holder.current.of(LISTEN).address } : {}),
  });
  const cause = await untilStopped({
    notifier,
    stopAsked: stops.asked,
    clock: systemClock,
    log,
    status: () => runner.status(),
    idleForMs: () => runner.idleForMs(),
    // Without a service manager nothing would start the runner again or listen at its address.
    idleExitMs: () =>
      activated && !ownsTcp && !runner.keepsRunning() ? holder.current.of(PROGRAM).idleExitMs : 0,
    unhealthyReason: () => runner.unhealthyReason(),
    async reload(signal) {
      const report = await holder.reload(signal);
      log.setLevel(holder.current.of(LOG).level);
      await runner.reconfigured(signal);
      try {
        const tls = readTls(holder.current.of(LISTEN));
        if (tls !== undefined) runner.server.renewCertificate(tls);
      } catch (error) {
        log.error("Cannot use the new certificate; the one before stays in use", { error });
      }
      for (const warning of report.warnings) {
        log.warning("The configuration may be wrong", { warning });
      }
      if (report.needsRestart.length > 0) {
        log.warning("Some changes need a restart", { keys: report.needsRestart });
      }
    },
  });
  runner.stopAccepting();
  await Promise.all([
    finishAnswers({
      drained: (signal) => runner.server.drained(signal),
      answered: (signal) => runner.answered(signal),
    }),
    leaveLinks((signal) => runner.leave(signal)),
  ]);
  return cause === "idle" && runner.hasWork() ? EXIT_AGAIN : 0;
}
