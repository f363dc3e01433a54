/**
 * A job's log over a WebSocket, as it is written.
 *
 * Binary frames are the log; the text frame at the end is the job's result.
 *
 * @module
 */
import * as v from "valibot";
import { CicdError } from "@lib/core/errors.ts";
import type { WebSocketSession } from "@lib/foundations/http/web_socket.ts";
import type { Job } from "@lib/spine/jobs/model.ts";
import type { JobLogs, RunnerServices } from "@lib/api/feature.ts";
import { flag, wholeNumber } from "@lib/api/route.ts";

/** The query fields that select a part of a log. */
export const LOG_QUERY = {
  stream: v.optional(v.picklist(["stdout", "stderr"], 'must be "stdout" or "stderr"')),
  timestamps: flag,
  offset: wholeNumber({ min: 0, max: Number.MAX_SAFE_INTEGER }),
};

/** A part of a log, as {@linkcode LOG_QUERY} selects it. */
export interface LogQuery {
  readonly stream: "stdout" | "stderr" | undefined;
  readonly timestamps: boolean | undefined;
  readonly offset: number | undefined;
}

/**
 * Opens a session that follows a job's log to its end.
 *
 * @throws {CicdError} As the route of the log over HTTP does.
 */
export async function logSession(
  { logs, store }: Pick<RunnerServices, "logs" | "store">,
  job: Job,
  { stream, timestamps = false, offset: from = 0 }: LogQuery,
): Promise<WebSocketSession> {
  assertHasStream(job, stream);
  await assertReaches(logs, job, { from, stream });
  return async (peer) => {
    const selected = stream === undefined ? {} : { stream };
    const reading = logs.read(job, {
      ...selected,
      from,
      timestamps,
      follow: true,
      // A client that counts bytes resumes at the right one.
      notes: "end",
      signal: peer.signal,
    });
    // Reads only as fast as the client receives.
    for await (const chunk of reading) await peer.send(chunk);
    const { state, exitCode = null, reason = null } = store.require(job.id);
    await peer.send(JSON.stringify({ state, exit_code: exitCode, reason }));
  };
}

/** @throws {CicdError} `invalid_request` if the streams of the job's output are merged. */
export function assertHasStream(job: Job, stream: LogQuery["stream"]): void {
  if (stream === undefined || job.spec.output !== "merged") return;
  throw new CicdError(
    "invalid_request",
    `Cannot read only ${stream} of job "${job.id}": its output is merged in the order of ` +
      'writing; submit with "output": "split" to keep the streams separate',
    { issues: [{ path: "query.stream", message: "requires output: split" }] },
  );
}

/** @throws {CicdError} `range_not_satisfiable` if the log is shorter, also while it grows. */
export async function assertReaches(
  logs: JobLogs,
  job: Job,
  { from, stream }: { readonly from: number; readonly stream: LogQuery["stream"] },
): Promise<void> {
  const size = await logs.size(job, stream);
  if (from <= size) return;
  throw new CicdError(
    "range_not_satisfiable",
    `Cannot read the log of job "${job.id}" from byte ${from}: it has ${size} bytes`,
  );
}
