/**
 * The shapes of the Gryt-compatible API, for OpenAPI.
 *
 * `request.ts` parses request bodies, with the type coercion of Gryt's agent.
 *
 * @module
 */
import * as v from "valibot";

const MAX = Number.MAX_SAFE_INTEGER;

/** A whole number; Gryt's agent reads texts and booleans as numbers too. */
function wholeJson(minimum: number, maximum: number) {
  const pattern = maximum === 9 ? "^[0-9]$" : "^[0-9]{1,15}$";
  return { type: ["integer", "string", "boolean"], minimum, maximum, pattern };
}

/** The answer of `GET /`. */
export const grytRootSchema = v.object({
  service: v.string(),
  version: v.string(),
  status: v.string(),
});

/** The answer of `GET /health`. */
export const grytHealthSchema = v.object({
  status: v.picklist(["healthy", "degraded"]),
  version: v.string(),
  docker_available: v.boolean(),
});

/** The body of an error. */
export const grytDetailSchema = v.object({ detail: v.string() });

/** The body of a 422. */
export const grytInvalidSchema = v.object({
  detail: v.pipe(
    v.array(v.object({
      type: v.string(),
      loc: v.array(v.union([v.string(), v.number()])),
      msg: v.string(),
      input: v.optional(v.unknown()),
      ctx: v.optional(v.record(v.string(), v.unknown())),
    })),
    v.minLength(1),
  ),
});

const text = () => v.nullable(v.string());
const described = (description: string) =>
  v.exactOptional(v.pipe(text(), v.description(description)));

/** The body of `POST /jobs/execute`. */
export const grytRequestSchema = v.object({
  job_id: v.pipe(
    v.number(),
    v.safeInteger(),
    v.metadata(wholeJson(-MAX, MAX)),
    v.description("The job's number at the main API; also as text"),
  ),
  pipeline_b64: v.pipe(v.string(), v.description("Base64 of the pipeline, a Python file")),
  git_url: v.exactOptional(text()),
  git_branch: described("Default: `main`"),
  github_token_encrypted: described("A Fernet token"),
  docker_image: v.exactOptional(text()),
  env_vars: v.exactOptional(v.nullable(v.record(v.string(), v.string()))),
  cpu_limit: described("CPUs, such as `1.0`"),
  memory_limit: described("In Docker's notation: `512m`, `2g`"),
  callback_url: described("Also receives the result, signed, with retries"),
  priority: v.exactOptional(
    v.nullable(
      v.pipe(v.number(), v.metadata(wholeJson(0, 9)), v.description("0 to 9; an addition")),
    ),
  ),
  timeout: v.exactOptional(
    v.nullable(v.pipe(
      v.number(),
      v.metadata({
        type: ["number", "string"],
        exclusiveMinimum: 0,
        pattern: "^[1-9][0-9]{0,8}([.][0-9]{1,3})?$",
      }),
      v.description("Seconds; an addition"),
    )),
  ),
  artifacts: v.exactOptional(
    v.pipe(v.nullable(v.array(v.string())), v.description("Globs; an addition")),
  ),
});

/** The answer of `POST /jobs/execute`. */
export const grytAnswerSchema = v.object({
  job_id: v.number(),
  success: v.boolean(),
  exit_code: v.pipe(v.number(), v.description("-1 if the pipeline did not run to its end")),
  stdout: v.string(),
  stderr: v.string(),
  duration_seconds: v.number(),
  started_at: v.string(),
  completed_at: v.string(),
  error: v.nullable(v.string()),
});

/** The answer of `POST /jobs/execute`, as it is sent. */
export type GrytAnswer = Readonly<v.InferOutput<typeof grytAnswerSchema>>;

/** The answer of `GET /jobs/{job_id}`. */
export const grytJobSchema = v.object({
  job_id: v.nullable(v.number()),
  id: v.pipe(v.string(), v.description("The job's id at `/v1/jobs`")),
  state: v.string(),
  success: v.nullable(v.boolean()),
  logs: v.string(),
  artifacts: v.string(),
});
