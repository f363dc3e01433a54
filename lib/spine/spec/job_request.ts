/**
 * Turns a request into the spec of a job, with the defaults of its project.
 *
 * @module
 */
import * as v from "valibot";
import { CicdError, type FieldIssue } from "@lib/core/errors.ts";
import { ENV_NAME_MAX_BYTES, execTotalProblem } from "@lib/core/exec_limits.ts";
import { fill, requestSchema, type SettingsOf } from "@lib/spine/spec/field.ts";
import { CONTAINER, IMAGE } from "@lib/spine/spec/setup_fields.ts";
import { JOB, KEPT } from "@lib/spine/spec/job_fields.ts";
import type { ContainerSpec, JobRequest, JobSpec } from "@lib/spine/spec/job_spec.ts";
import { scriptWork } from "@lib/spine/spec/script.ts";
import { crossChecks, type JobRules, policyIssues, secretIssues } from "@lib/spine/spec/rules.ts";

/** The body of `POST /v1/jobs`; the rules are some of those that {@linkcode crossChecks} checks. */
export const jobRequestSchema: v.GenericSchema<unknown, JobRequest> = requestSchema(JOB, {
  oneOf: [
    { required: ["script"], properties: { command: false } },
    { required: ["command"], properties: { script: false, shell: false } },
  ],
  dependentRequired: {
    cancel_in_progress: ["concurrency_group"],
    pull: ["image"],
    network: ["image"],
    container: ["image"],
    errexit: ["script"],
  },
  examples: [{ project: "web-app", command: ["make", "test"] }],
});

/** The defaults of a project for the fields that a request lacks. */
export type RequestDefaults = SettingsOf<typeof JOB> & {
  readonly rules: JobRules;
};

/** A parsed request: the spec, and the secrets separately. */
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
  const issues = crossChecks(request);
  if (issues.length > 0) throw invalid(issues);
  const defaults = defaultsOf(request.project);
  const spec = toSpec(request, defaults);
  const refused = policyIssues(spec, defaults.rules);
  if (refused.length > 0) throw invalid(refused);
  const secrets = request.secrets ?? {};
  const problem = execTotalProblem(request.command ?? [], { ...spec.env, ...secrets });
  if (problem !== undefined) {
    throw invalid([{
      path: "env",
      message: `with the command, the secrets and the defaults ${problem.message}`,
    }]);
  }
  return { spec, secrets };
}

/** The body of a retry. */
export const retryRequestSchema: v.GenericSchema<unknown, Pick<JobRequest, "secrets">> =
  requestSchema({ secrets: JOB.secrets });

/**
 * Validates the secrets for another run of a job, which no longer has its own: all of them, and no
 * others.
 *
 * @param value The body of the request, if it has one.
 * @throws {CicdError} `invalid_request` with the path of each field at fault.
 */
export function parseRetryRequest(value: unknown, spec: JobSpec): ParsedRequest["secrets"] {
  const parsed = v.safeParse(retryRequestSchema, value ?? {});
  if (!parsed.success) throw invalid(parsed.issues.map(toFieldIssue));
  const { secrets = {} } = parsed.output;
  const missing = spec.secretNames.filter((name) => !Object.hasOwn(secrets, name));
  const issues = [
    ...missing.map((name) => ({
      path: `secrets.${name}`,
      message: "is missing: a job's secrets are removed when it has ended; send it again",
    })),
    ...Object.keys(secrets).filter((name) => !spec.secretNames.includes(name)).map((name) => ({
      path: `secrets.${name}`,
      message: "is not a secret of the job; submit a new job",
    })),
    ...secretIssues(secrets),
  ];
  if (issues.length > 0) throw invalid(issues);
  const argv = spec.work.kind === "command" ? spec.work.argv : [];
  const problem = execTotalProblem(argv, { ...spec.env, ...secrets });
  if (problem !== undefined) {
    throw invalid([{ path: "secrets", message: `with the command ${problem.message}` }]);
  }
  return secrets;
}

/** Fills in the defaults of a request and makes the fields that only the spec has. */
function toSpec(request: JobRequest, defaults: RequestDefaults): JobSpec {
  const { command, script = "", shell, errexit, secrets = {} } = request;
  const container = containerOf(request, defaults);
  return {
    ...fill(KEPT, request, defaults),
    work: command === undefined
      ? scriptWork(script, { shell, defaultShell: defaults.shell, errexit })
      : { kind: "command", argv: command },
    secretNames: Object.keys(secrets),
    ...(container === undefined ? {} : { container }),
  };
}

function containerOf(request: JobRequest, defaults: RequestDefaults): ContainerSpec | undefined {
  const { image, container = {} } = request;
  return image === undefined
    ? undefined
    : { ...fill(IMAGE, request, defaults), ...fill(CONTAINER, container, {}), image };
}

function toFieldIssue(issue: v.BaseIssue<unknown>): FieldIssue {
  const path = cut(v.getDotPath(issue) ?? "body", ENV_NAME_MAX_BYTES);
  return { path, message: cut(issue.message, MESSAGE_MAX_CHARS) };
}

/** A message may quote a long input. */
const MESSAGE_MAX_CHARS = 400;

function cut(text: string, maxChars: number): string {
  return text.length > maxChars ? `${text.slice(0, maxChars)}…` : text;
}

function invalid(issues: readonly FieldIssue[]): CicdError {
  const [first] = issues;
  const more = issues.length > 1 ? ` (and ${issues.length - 1} more)` : "";
  return new CicdError(
    "invalid_request",
    `Cannot accept the job: ${first?.path} ${first?.message}${more}`,
    { issues: issues.slice(0, 32) },
  );
}
