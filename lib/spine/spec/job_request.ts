/**
 * From a request to the spec of a job, with the defaults of its project.
 *
 * @module
 */
import * as v from "valibot";
import { CicdError, type FieldIssue } from "@lib/core/errors.ts";
import { execTotalProblem } from "@lib/core/exec_limits.ts";
import type { JobSpec } from "@lib/spine/jobs/model.ts";
import { policyIssues } from "@lib/spine/spec/job_policy.ts";
import { crossChecks, toFieldIssue, unreadNames } from "@lib/spine/spec/job_request_issues.ts";
import { jobRequestSchema } from "@lib/spine/spec/job_request_schema.ts";
import { type RequestDefaults, toSpec } from "@lib/spine/spec/job_request_spec.ts";

export { SCRIPT_MAX_BYTES } from "@lib/spine/spec/job_request_issues.ts";
export { type JobRequest, jobRequestSchema } from "@lib/spine/spec/job_request_schema.ts";
export { type RequestDefaults } from "@lib/spine/spec/job_request_spec.ts";

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
  const defaults = defaultsOf(request.project);
  const spec = toSpec(request, defaults);
  const refused = policyIssues(spec, defaults.rules);
  if (refused.length > 0) throw invalid(refused);
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

function invalid(issues: readonly FieldIssue[]): CicdError {
  const [first] = issues;
  const more = issues.length > 1 ? ` (and ${issues.length - 1} more)` : "";
  return new CicdError(
    "invalid_request",
    `Cannot accept the job: ${first?.path ?? "body"} ${first?.message ?? "is invalid"}${more}`,
    { issues: issues.slice(0, 32) },
  );
}
