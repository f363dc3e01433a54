/**
 * Changes of jobs as server-sent events.
 *
 * @module
 */
import { raceAbort, withDeadline } from "@lib/core/abort.ts";
import { CicdError } from "@lib/core/errors.ts";
import { type Caller, seesProject } from "@lib/core/caller.ts";
import type { JobId } from "@lib/core/ids.ts";
import type { Job } from "@lib/spine/jobs/model.ts";
import type { RunnerServices } from "@lib/api/feature.ts";
import { interruptedBy } from "@lib/features/jobs/log_streams.ts";
import { toJobView } from "@lib/features/jobs/job_view.ts";
import { type AnyRoute, route, wholeNumber } from "@lib/api/route.ts";
import { streamBody } from "@lib/api/stream_body.ts";

/** Jobs read from the store at once. */
const BATCH = 64;
/** Interval of keep-alive comments on a silent stream. */
const KEEP_ALIVE_MS = 15_000;

type EventPorts = Pick<
  RunnerServices,
  "store" | "events" | "waitingReason" | "log" | "stopping" | "clock"
>;

/** The route of events. */
export function eventRoutes(ports: EventPorts): readonly AnyRoute[] {
  return [
    route({
      method: "GET",
      path: "/v1/events",
      access: { scope: "read", by: "handler" },
      summary: "Follow the changes of all jobs",
      description:
        "Server-sent events named `job`: the data is the current job, the id its revision. " +
        "`Last-Event-ID` (or `since`) resumes after a revision, also across restarts; changes in " +
        "quick succession may be combined. Without it, the stream starts now. A stream that must end " +
        "(the runner stops, the key is revoked) ends with an event `interrupted`, whose data has " +
        "`reason` and `resume`. A change of `waiting` alone comes at most once a second, and is not " +
        "repeated to a client that resumes.",
      query: { since: wholeNumber({ min: 0, max: Number.MAX_SAFE_INTEGER }) },
      answers: { 200: { description: "The events", contentType: "text/event-stream" } },
      errors: ["invalid_request"],
      handle: ({ request, query, caller, signal: over }, reply) => {
        const last = request.headers.get("last-event-id");
        if (last !== null && !/^\d{1,15}$/.test(last)) {
          throw new CicdError("invalid_request", "Cannot resume: Last-Event-ID is not a revision", {
            issues: [{ path: "header.last-event-id", message: "must be a revision" }],
          });
        }
        const wanted = last === null ? query.since ?? Infinity : Number(last);
        // A revision beyond the latest one belongs to another database.
        const since = Math.min(wanted, ports.store.revision);
        const follow = (signal: AbortSignal) => changes(ports, { since, signal, caller });
        const body = streamBody(AbortSignal.any([over, ports.stopping]), follow);
        const headers = { "content-type": "text/event-stream", "cache-control": "no-store" };
        return reply.raw(new Response(body, { headers }));
      },
    }),
  ];
}

async function* changes(
  ports: EventPorts,
  { since, signal, caller }: {
    readonly since: number;
    readonly signal: AbortSignal;
    readonly caller: Caller;
  },
): AsyncGenerator<Uint8Array> {
  const encoder = new TextEncoder();
  let changed = Promise.withResolvers<void>();
  /** Jobs of which only the reason to wait has changed. */
  const waiting = new Set<JobId>();
  using _listening = ports.events.listen((job, before) => {
    if (before?.revision === job.revision) waiting.add(job.id);
    changed.resolve();
  });
  const shown = (jobs: readonly Job[], id?: number) =>
    jobs.filter((job) => seesProject(caller, job.spec.project)).map((job) => {
      const view = toJobView(job, { waiting: ports.waitingReason(job), now: ports.clock.now() });
      return `event: job\nid: ${id ?? job.revision}\ndata: ${JSON.stringify(view)}\n\n`;
    }).join("");
  let revision = since;
  // Lets a client resume that loses the stream before the first change.
  yield encoder.encode(`id: ${since}\n\n`);
  try {
    while (true) {
      signal.throwIfAborted();
      const jobs = ports.store.changedSince(revision, BATCH);
      if (jobs.length > 0) {
        revision = jobs.at(-1)?.revision ?? revision;
        const text = shown(jobs);
        for (const { id } of jobs) waiting.delete(id);
        // A client that resumes does not read skipped changes again.
        yield encoder.encode(text === "" ? `id: ${revision}\n\n` : text);
        continue;
      }
      const ids = [...waiting].slice(0, BATCH);
      if (ids.length > 0) {
        for (const id of ids) waiting.delete(id);
        const text = shown(
          ids.map((id) => ports.store.get(id)).filter((job) => job !== undefined),
          revision,
        );
        if (text !== "") yield encoder.encode(text);
        continue;
      }
      if (!await woken(changed.promise, signal)) yield encoder.encode(": alive\n\n");
      changed = Promise.withResolvers();
    }
  } catch (error) {
    const reason = interruptedBy(error, signal, ports.log);
    const data = JSON.stringify({ reason, resume: `GET /v1/events?since=${revision}` });
    yield encoder.encode(`event: interrupted\nid: ${revision}\ndata: ${data}\n\n`);
  }
}

/** Waits for a change; `false` if a keep-alive is due. */
async function woken(changed: Promise<void>, signal: AbortSignal): Promise<boolean> {
  using deadline = withDeadline(signal, KEEP_ALIVE_MS, "a change");
  try {
    await raceAbort(changed, deadline);
    return true;
  } catch (error) {
    if (signal.aborted || error !== deadline.reason) throw error;
    return false;
  }
}
