/**
 * A job's log over a WebSocket, as it is written.
 *
 * Binary frames are the log; one text frame at the end tells how the job ended.
 *
 * @module
 */
import { CicdError, toCicdError } from "@lib/core/errors.ts";
import type { Origin } from "@lib/foundations/http/listener.ts";
import type { WebSocketPeer, WebSocketSession } from "@lib/foundations/http/web_socket.ts";
import type { Job } from "@lib/spine/jobs/model.ts";
import { admit, type GuardedRoute } from "@lib/api/access.ts";
import { refuseWebPages } from "@lib/api/router.ts";
import { find } from "@lib/api/find_job.ts";
import { assertHasStream, assertReaches, logPart } from "@lib/features/jobs/log_routes.ts";
import type { ApiPorts } from "@lib/api/ports.ts";
import { readQuery } from "@lib/api/route.ts";

const JOB_LOG: GuardedRoute = { path: "/v1/jobs/:id/logs", access: { scope: "read" } };
/** Gryt's own paths; its port asks for Gryt's own key. */
const GRYT_LOG = /^\/jobs\/([^/]{1,64})\/logs$/;

/** Makes what decides about requests for a WebSocket. */
export function logSockets(
  ports: ApiPorts,
): (request: Request, origin: Origin) => Promise<WebSocketSession> {
  return async (request, origin) => {
    try {
      refuseWebPages(request);
      const job = jobOf(ports, request, origin);
      const query = readQuery(request, logPart);
      assertHasStream(job, query.stream);
      const from = query.offset ?? 0;
      await assertReaches(ports.logs, job, { from, stream: query.stream });
      const wish = {
        from,
        timestamps: query.timestamps ?? false,
        ...(query.stream === undefined ? {} : { stream: query.stream }),
      };
      return (peer) => follow(ports, job, { wish, peer });
    } catch (thrown) {
      const error = toCicdError(thrown);
      if (error.code === "internal" && !request.signal.aborted) {
        ports.log.error("A request met a defect", { error: thrown });
      }
      throw error;
    }
  };
}

/** @throws {CicdError} What the route of the log over HTTP would answer with. */
function jobOf(ports: ApiPorts, request: Request, origin: Origin): Job {
  const { pathname } = new URL(request.url);
  const id = /^\/v1\/jobs\/([^/]+)\/logs$/.exec(pathname)?.[1];
  if (id !== undefined) {
    const { headers } = request;
    return find(ports, admit(ports, JOB_LOG, { headers, params: { id }, origin }).params);
  }
  const grytId = GRYT_LOG.exec(pathname)?.[1];
  if (grytId !== undefined && ports.grytLogs !== undefined) {
    ports.grytLogs.assertKey(request, origin);
    const job = ports.grytLogs.jobOf(grytId);
    if (job !== undefined) return job;
    throw new CicdError("job_not_found", `Cannot find job "${grytId}": Gryt has sent no such job`);
  }
  throw new CicdError(
    "not_found",
    "Cannot open a WebSocket there: only logs have one (/v1/jobs/ID/logs)",
  );
}

/** The part of a log that is wanted; it is followed to its end. */
interface LogPart {
  readonly from: number;
  readonly timestamps: boolean;
  readonly stream?: "stdout" | "stderr";
}

async function follow(
  ports: ApiPorts,
  job: Job,
  { wish, peer }: { readonly wish: LogPart; readonly peer: WebSocketPeer },
): Promise<void> {
  const reading = ports.logs.read(job, { ...wish, follow: true, signal: peer.signal });
  // Nothing is read that the client has not made room for.
  for await (const chunk of reading) await peer.send(chunk);
  const { state, exitCode = null, reason = null } = ports.store.require(job.id);
  await peer.send(JSON.stringify({ state, exit_code: exitCode, reason }));
}
