/**
 * Telling clients that wait at a passed socket why the runner cannot start.
 *
 * A connection that nobody takes makes the socket unit start the runner again
 * at once, and so on without end: on a slow machine too slowly for the limits
 * of the service manager. Whoever waits gets the reason instead.
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
/** Who knocked has long been connected, and sends its request at once. */
const QUIET_MS = 500;
/** However many go on asking. */
const AT_MOST_MS = 5_000;
const LOOK_MS = 50;

/** Whether starting again would end in the same way. */
export function isHopeless(error: CicdError): boolean {
  return NOT_RETRIED.includes(error.entry.exitCode);
}

/**
 * Answers every request at the passed sockets with what is wrong, until no more come.
 *
 * This account is told all; a network only that it should ask later.
 */
export async function refuseStart(
  error: CicdError,
  sockets: readonly PassedSocket[],
  setCloseOnExec: (fd: number) => void,
): Promise<void> {
  const startedAt = systemClock.now();
  await using server = await startHttpServer({
    listeners: sockets.map(({ fd, name, isUnix }) => ({ kind: "fd", fd, name, isUnix })),
    limits: { maxConnections: 256, maxHeaderBytes: 16_384, headerTimeoutMs: AT_MOST_MS },
    handle: (_, origin) =>
      problemResponse(
        origin.kind === "local" ? error : new CicdError(
          "runner_unavailable",
          "Cannot take the request: the runner cannot start; its journal tells why",
        ),
      ),
    isForRemote: true,
    keepFromChildren: setCloseOnExec,
    onError: ignore("the refusal is all there is to tell"),
  });
  using deadline = withDeadline(new AbortController().signal, AT_MOST_MS, "refusals");
  const isQuiet = () => {
    const last = Math.max(startedAt, server.lastActivityAt);
    return server.activeRequests === 0 && systemClock.now() - last >= QUIET_MS;
  };
  while (!deadline.aborted && !isQuiet()) {
    await systemClock.sleep(LOOK_MS, { signal: deadline }).catch(ignore("it has been long enough"));
  }
}
