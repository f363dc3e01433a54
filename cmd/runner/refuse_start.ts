/**
 * Reports to clients of a passed socket why the runner cannot start.
 *
 * A connection that is not accepted makes the socket unit start the runner again at once, and so on
 * without end; a slow machine never reaches the start limit of the service manager. So waiting
 * clients get the reason.
 *
 * @module
 */
import { withDeadline } from "@lib/core/abort.ts";
import { systemClock } from "@lib/core/clock.ts";
import { CicdError, ignore } from "@lib/core/errors.ts";
import { problemResponse } from "@lib/foundations/http/problem.ts";
import { startHttpServer } from "@lib/foundations/http/server.ts";
import type { PassedSocket } from "@lib/api/listeners.ts";

/** Exit codes after which the units do not try again (`RestartPreventExitStatus=`). */
const NOT_RETRIED: readonly number[] = [64, 77, 78];
/** Waiting clients are connected already, and send their requests at once. */
const QUIET_MS = 500;
/** Deadline, however many requests still arrive. */
const AT_MOST_MS = 5_000;
const LOOK_MS = 50;

/** Tells if another start would fail in the same way. */
function isHopeless(error: CicdError): boolean {
  return NOT_RETRIED.includes(error.entry.exitCode);
}

/**
 * Answers every request at the passed sockets with the error, until no more arrive.
 *
 * A failure that may pass is answered for the whole deadline, as the service manager starts the
 * runner again as soon as it exits.
 *
 * Only local clients get the error itself; remote ones are asked to retry later.
 */
export async function refuseStart(
  error: CicdError,
  sockets: readonly PassedSocket[],
  setCloseOnExec: (fd: number) => void,
): Promise<void> {
  const startedAt = systemClock.now();
  await using server = await startHttpServer({
    listeners: sockets.map((socket) => ({ kind: "fd", ...socket })),
    limits: { maxConnections: 256, maxHeaderBytes: 16_384, headerTimeoutMs: AT_MOST_MS },
    handle: (_, origin) =>
      problemResponse(
        origin.kind === "local" ? error : new CicdError(
          "runner_unavailable",
          "Cannot take the request: the runner cannot start; see its journal",
        ),
      ),
    isForRemote: true,
    keepFromChildren: setCloseOnExec,
    onError: ignore("there is nothing to report but the refusal"),
  });
  using deadline = withDeadline(new AbortController().signal, AT_MOST_MS, "refusals");
  const isQuiet = () => {
    const last = Math.max(startedAt, server.lastActivityAt);
    return isHopeless(error) && server.activeRequests === 0 &&
      systemClock.now() - last >= QUIET_MS;
  };
  while (!deadline.aborted && !isQuiet()) {
    await systemClock.sleep(LOOK_MS, { signal: deadline }).catch(ignore("the deadline has passed"));
  }
}
