/**
 * The routes of jobs: submit, list, show, wait, cancel, retry.
 *
 * @module
 */
import * as v from "valibot";
import { turn, withDeadline } from "@lib/core/abort.ts";
import { CicdError } from "@lib/core/errors.ts";
import { type JobId, parseJobId } from "@lib/core/ids.ts";
import { readJson, readJsonIfAny } from "@lib/foundations/http/body.ts";
import { projectsOf, shownCaller } from "@lib/core/caller.ts";
import { isTerminal, type Job, JOB_STATES } from "@lib/spine/jobs/model.ts";
import type { JobEvent } from "@lib/spine/jobs/state_machine.ts";
import { jobId } from "@lib/api/answers.ts";
import { jobPageSchema, jobSchema } from "@lib/features/jobs/answers.ts";
import type { RunnerServices } from "@lib/api/feature.ts";
import { jobRequestSchema, retryRequestSchema } from "@lib/spine/spec/job_request.ts";
import { projectName } from "@lib/core/value_types.ts";
import { toJobView } from "@lib/features/jobs/job_view.ts";
import { type ClientLeases, onDisconnect } from "@lib/features/jobs/leases.ts";
import { followLog } from "@lib/features/jobs/log_routes.ts";
import {
  type AnyRoute,
  flag,
  inQuery,
  queryDuration,
  repeated,
  route,
  wholeNumber,
} from "@lib/api/route.ts";

const LIST_MAX = 500;

const stateList = v.pipe(
  v.string(),
  v.metadata({ pattern: `^(?:${JOB_STATES.join("|")})(?:,(?:${JOB_STATES.join("|")}))*$` }),
  v.transform((text) => text.split(",")),
  v.array(v.picklist(JOB_STATES, `must be one or more of ${JOB_STATES.join(", ")}`)),
  v.transform((states) => [...new Set(states)]),
);

const label = v.pipe(
  v.string(),
  v.regex(/^[^=]+=/, "must be NAME=VALUE"),
  v.transform((text) => {
    const equals = text.indexOf("=");
    return [text.slice(0, equals), text.slice(equals + 1)] as const;
  }),
);
/** Labels in one query. */
const LABELS_MAX = 16;

type JobPorts = Pick<
  RunnerServices,
  | ("store" | "events" | "logs" | "log" | "clock" | "bodyLimits" | "submitSoon" | "intake")
  | ("waitingReason" | "statesKnown" | "stopping" | "retry" | "startExpected")
>;

/** The routes of single jobs and of their list. */
export function jobRoutes(ports: JobPorts, leases: ClientLeases): readonly AnyRoute[] {
  return [
    route({
      method: "POST",
      path: "/v1/jobs",
      access: { scope: "submit", by: "handler" },
      summary: "Submit a job",
      description:
        "Answers once the job is on disk. With `follow=1` the answer is the job's log as it is " +
        "written; its last line is `cicd-result …` with state and exit code, or `cicd-interrupted …` " +
        "if the answer must end before the job does, see `GET /v1/jobs/{id}/logs`. With " +
        "`on_disconnect=cancel` the job is cancelled once no client has held it for " +
        "`queue.disconnect_patience`. A client holds it by an open answer to a request with " +
        "`on_disconnect=cancel`: a followed log or a wait. A runner that starts waits as long anew. " +
        "A request with a known `Idempotency-Key` answers with the job that the first one created.",
      query: { follow: flag, on_disconnect: onDisconnect },
      body: jobRequestSchema,
      answers: {
        201: { description: "The job is queued, or starts at once", schema: jobSchema },
        200: {
          description: "The existing job of the idempotency key; with `follow=1`, the log",
          schema: jobSchema,
          otherTypes: ["text/plain"],
        },
      },
      errors: [
        "invalid_json",
        "invalid_request",
        "body_too_large",
        "request_timeout",
        "idempotency_key_reused",
        "forbidden",
        "queue_full",
        "draining",
        "disk_full",
      ],
      handle: async ({ request, query, caller, signal }, reply) => {
        ports.startExpected();
        const body = await readJson(request, ports.bodyLimits());
        const key = request.headers.get("idempotency-key");
        const isLeased = query.on_disconnect === "cancel";
        const also = (id: JobId) => leases.grant(id, { by: caller, retryBase: 0 });
        const { kind, job } = await ports.submitSoon(body, {
          caller,
          idempotencyKey: key,
          traceparent: request.headers.get("traceparent"),
          ...(isLeased ? { also } : {}),
        });
        if (isLeased) leases.take(job, caller);
        // The agent gets its order before the answer is made.
        if (job.state === "starting") await turn();
        const headers = { location: `/v1/jobs/${job.id}`, "x-job-id": job.id };
        if (query.follow === true) {
          const held = isLeased ? leases : undefined;
          return reply.raw(followLog(ports, job, { request, signal, headers, leases: held }));
        }
        return reply.json(kind === "created" ? 201 : 200, shown(ports, job), headers);
      },
    }),
    route({
      method: "GET",
      path: "/v1/jobs",
      access: { scope: "read", by: "handler" },
      summary: "List jobs, newest first",
      description:
        "`label=NAME=VALUE` selects the jobs with this label; several labels, those with all " +
        "of them. A page of jobs with very large scripts may contain fewer than `limit`.",
      query: {
        project: inQuery(projectName()),
        state: v.optional(stateList),
        label: repeated(label, LABELS_MAX),
        limit: wholeNumber({ min: 1, max: LIST_MAX }),
        cursor: v.optional(v.pipe(
          jobId,
          v.rawTransform(({ dataset, addIssue, NEVER }) => {
            const id = parseJobId(dataset.value);
            if (id !== undefined) return id;
            addIssue({ message: "is not a cursor; use `next_cursor` of the previous page" });
            return NEVER;
          }),
        )),
      },
      answers: { 200: { description: "A page of jobs", schema: jobPageSchema } },
      errors: ["invalid_request"],
      handle: async ({ query, caller, signal }, reply) => {
        await ports.statesKnown(signal);
        const projects = projectsOf(caller);
        const { jobs, more } = ports.store.list({
          limit: query.limit ?? 50,
          ...(projects === undefined ? {} : { projects }),
          ...(query.project === undefined ? {} : { project: query.project }),
          ...(query.state === undefined ? {} : { states: query.state }),
          ...(query.label === undefined ? {} : { labels: query.label }),
          ...(query.cursor === undefined ? {} : { before: query.cursor }),
        });
        return reply.json(200, {
          jobs: jobs.map((job) =>
            toJobView(job, { waiting: ports.waitingReason(job), now: ports.clock.now() })
          ),
          next_cursor: more ? jobs.at(-1)?.id ?? null : null,
        });
      },
    }),
    route({
      method: "GET",
      path: "/v1/jobs/:id",
      access: { scope: "read", by: "job" },
      summary: "Show a job with its attempts",
      description: "A prefix of the id is enough if it is unique.",
      answers: { 200: { description: "The job", schema: jobSchema } },
      handle: async ({ job: { id }, signal }, reply) => {
        await ports.statesKnown(signal);
        return reply.json(200, shown(ports, ports.store.require(id)));
      },
    }),
    route({
      method: "GET",
      path: "/v1/jobs/:id/wait",
      access: { scope: "read", by: "job" },
      summary: "Wait until a job has ended",
      description: "`on_disconnect=cancel` as with `POST /v1/jobs`; it requires `submit`.",
      query: { timeout: queryDuration, on_disconnect: onDisconnect },
      answers: {
        200: { description: "The job has ended", schema: jobSchema },
        202: {
          description: "The timeout has passed or the runner stops, the job continues",
          schema: jobSchema,
        },
      },
      errors: ["invalid_request", "forbidden"],
      handle: async ({ signal, job, query, caller }, reply) => {
        const isLeased = query.on_disconnect === "cancel";
        if (isLeased) leases.take(job, caller);
        using _lease = isLeased ? leases.hold(job.id) : undefined;
        const now = await waitForEnd(ports, job, signal, query.timeout ?? 60_000);
        return reply.json(isTerminal(now.state) ? 200 : 202, shown(ports, now));
      },
    }),
    route({
      method: "POST",
      path: "/v1/jobs/:id/cancel",
      access: { scope: "submit", by: "job" },
      summary: "Cancel a job",
      description:
        "Idempotent. A running job gets SIGTERM, and SIGKILL after its grace period. Of a job that " +
        "is held after its failure, the hold ends; its result stays.",
      answers: {
        200: { description: "The job is cancelled, or no longer held", schema: jobSchema },
        202: { description: "The job is being stopped", schema: jobSchema },
      },
      errors: ["state_conflict", "disk_full"],
      handle: ({ job: { id }, caller }, reply) => {
        ports.startExpected(1);
        const cancel = { reason: "cancelled", by: shownCaller(caller) } as const;
        const job = apply(ports, id, { kind: "cancel_requested", cancel, at: ports.clock.now() });
        return reply.json(isTerminal(job.state) ? 200 : 202, shown(ports, job));
      },
    }),
    route({
      method: "POST",
      path: "/v1/jobs/:id/retry",
      access: { scope: "submit", by: "job" },
      summary: "Run an ended job again",
      description:
        "The job keeps its id and gets another attempt. The secrets of a job are removed when it " +
        "has ended: the request must send all of them again. `on_disconnect=cancel` as with " +
        "`POST /v1/jobs`.",
      query: { on_disconnect: onDisconnect },
      body: v.optional(retryRequestSchema),
      answers: { 202: { description: "The job is queued again", schema: jobSchema } },
      errors: [
        "state_conflict",
        "draining",
        "disk_full",
        "invalid_json",
        "invalid_request",
        "body_too_large",
        "request_timeout",
      ],
      handle: async ({ request, job: { id, spec }, query, caller, signal }, reply) => {
        ports.intake.assertOpen(spec.project);
        ports.startExpected();
        const isLeased = query.on_disconnect === "cancel";
        const queued = await ports.retry(id, {
          body: await readJsonIfAny(request, ports.bodyLimits()),
          beforehand(job) {
            // The body and the masking of the logs take their time.
            ports.intake.assertOpen(spec.project);
            // Before the retry, so that a runner that is killed in between loses no lease.
            if (isLeased) leases.grant(id, { by: caller, retryBase: job.attempt });
            else leases.revoke(id);
          },
          signal,
        });
        if (isLeased) leases.take(queued, caller);
        return reply.json(202, shown(ports, queued));
      },
    }),
  ];
}

function shown(ports: JobPorts, job: Job) {
  return toJobView(job, {
    waiting: ports.waitingReason(job),
    now: ports.clock.now(),
    attempts: ports.store.attempts(job.id),
    ...(job.state === "queued" ? { queuePosition: ports.store.position(job) } : {}),
  });
}

/** Applies an event to a job, and returns the changed job. */
function apply({ store }: JobPorts, id: JobId, event: JobEvent): Job {
  const result = store.apply(id, event);
  if (result.kind === "refused") throw new CicdError(result.code, result.message);
  return store.require(id);
}

async function waitForEnd(
  ports: JobPorts,
  job: Job,
  signal: AbortSignal,
  timeoutMs: number,
): Promise<Job> {
  const over = AbortSignal.any([signal, ports.stopping]);
  using deadline = withDeadline(over, Math.min(timeoutMs, 3_600_000), "the job");
  const read = () => ports.store.require(job.id);
  const isWanted = ({ state }: Job) => isTerminal(state);
  try {
    return await ports.events.waitFor(job.id, { read, isWanted, signal: deadline });
  } catch (error) {
    if (signal.aborted || error !== deadline.reason) throw error;
    return read();
  }
}
