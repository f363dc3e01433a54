/**
 * From a request to the spec of a job, with the defaults of its project.
 *
 * @module
 */
import * as v from "valibot";
import { CicdError, type FieldIssue } from "@lib/core/errors.ts";
import { execTotalProblem } from "@lib/core/exec_limits.ts";
import type { JobSpec } from "@lib/jobs/model.ts";
import { crossChecks, toFieldIssue, unreadNames } from "@lib/api/job_request_issues.ts";
import { type JobRequest, jobRequestSchema } from "@lib/api/job_request_schema.ts";

export { SCRIPT_MAX_BYTES } from "@lib/api/job_request_issues.ts";
export { type JobRequest, jobRequestSchema } from "@lib/api/job_request_schema.ts";

/** What a request leaves open, per project. */
export interface RequestDefaults {
  readonly shell: string;
  readonly env: Readonly<Record<string, string>>;
  readonly limits: JobSpec["limits"];
  readonly timeoutMs: number;
  readonly graceMs: number;
  readonly priority: number;
  readonly logMaxBytes: number;
  readonly workdir?: string;
}

/** A parsed request: the spec, and the secrets apart from it. */
export interface ParsedRequest {
  readonly spec: JobSpec;
  readonly secrets: Readonly<Record<string, string>>;
}

/**
 * Validates a request and fills in its defaults.
 *
 * @throws {CicdError} `invalid_request` with the path of each field at fault.
 */
export function parseJobRequest(
  value: unknown,
  defaultsOf: (project: JobSpec["project"]) => RequestDefaults,
): ParsedRequest {
  const parsed = v.safeParse(jobRequestSchema, value);
  if (!parsed.success) throw invalid(parsed.issues.map(toFieldIssue));
  const request = parsed.output;
  const issues = [...unreadNames(value, request), ...crossChecks(request)];
  if (issues.length > 0) throw invalid(issues);
  const spec = toSpec(request, defaultsOf(request.project));
  const secrets = request.secrets ?? {};
  const problem = execTotalProblem(
    spec.work.kind === "command" ? spec.work.argv : [],
    { ...spec.env, ...secrets },
  );
  if (problem !== undefined) {
    throw invalid([{
      path: "env",
      message: `with the command, the secrets and the defaults ${problem.message}`,
    }]);
  }
  return { spec, secrets };
}

function toSpec(request: JobRequest, defaults: RequestDefaults): JobSpec {
  const workdir = request.workdir ?? defaults.workdir;
  const { memory, ...limits } = request.limits ?? {};
  return {
    project: request.project,
    work: request.command !== undefined
      ? { kind: "command", argv: request.command }
      : { kind: "script", text: request.script ?? "", shell: request.shell ?? defaults.shell },
    env: { ...defaults.env, ...request.env },
    secretNames: Object.keys(request.secrets ?? {}),
    limits: {
      ...defaults.limits,
      ...limits,
      ...(memory === undefined ? {} : { memoryBytes: memory }),
    },
    timeoutMs: request.timeout ?? defaults.timeoutMs,
    graceMs: request.grace ?? defaults.graceMs,
    priority: request.priority ?? defaults.priority,
    cancelInProgress: request.cancel_in_progress ?? false,
    retries: {
      max: request.retries?.max ?? 0,
      on: request.retries?.on ?? ["failed", "timed_out", "lost"],
      delayMs: request.retries?.delay ?? 0,
    },
    output: request.output ?? "merged",
    logMaxBytes: request.log_max ?? defaults.logMaxBytes,
    labels: request.labels ?? {},
    ...(workdir === undefined ? {} : { workdir }),
    ...(request.concurrency_group === undefined
      ? {}
      : { concurrencyGroup: request.concurrency_group }),
  };
}

function invalid(issues: readonly FieldIssue[]): CicdError {
  const [first] = issues;
  const more = issues.length > 1 ? ` (and ${issues.length - 1} more)` : "";
  return new CicdError(
    "invalid_request",
    `Cannot accept the job: ${first?.path ?? "body"} ${first?.message ?? "is invalid"}${more}`,
    { issues: issues.slice(0, 32) },
  );
}
