/**
 * The body of `POST /jobs/execute`, read as the Gryt agent reads it: unknown
 * fields are ignored, a job id may be text, and what is wrong is told in the
 * shape its clients know.
 *
 * @module
 */

/** One thing that is wrong with a request. */
export interface ValidationDetail {
  readonly type: string;
  /** Such as `["body", "env_vars", "FOO"]`. */
  readonly loc: readonly (string | number)[];
  readonly msg: string;
  /** The value at fault, where it is short and cannot be secret. */
  readonly input?: unknown;
  readonly ctx?: Readonly<Record<string, unknown>>;
}

/** A request; the last three fields are additions of this suite. */
export interface GrytRequest {
  readonly jobId: number;
  readonly pipelineBase64: string;
  readonly gitUrl?: string;
  readonly gitBranch: string;
  readonly tokenEncrypted?: string;
  readonly image?: string;
  readonly env: Readonly<Record<string, string>>;
  readonly cpuLimit?: string;
  readonly memoryLimit?: string;
  readonly callbackUrl?: string;
  /** 0 to 9; 9 starts first. */
  readonly priority?: number;
  readonly timeoutMs?: number;
  /** Globs below the workspace. */
  readonly artifacts?: readonly string[];
}

/** What came of a body. */
export type ParsedGrytRequest =
  | { readonly kind: "read"; readonly request: GrytRequest }
  | { readonly kind: "invalid"; readonly detail: readonly ValidationDetail[] };

/** Problems that are told at once. */
const MAX_DETAILS = 32;

/** Reads a parsed JSON body. */
export function parseGrytRequest(body: unknown): ParsedGrytRequest {
  if (body === null || body === undefined) {
    return invalid([{ type: "missing", loc: ["body"], msg: "Field required", input: null }]);
  }
  if (typeof body !== "object" || Array.isArray(body)) {
    return invalid([{
      type: "model_attributes_type",
      loc: ["body"],
      msg: "Input should be a valid dictionary or object to extract fields from",
    }]);
  }
  const fields = new Fields(body);
  const jobId = fields.integer("job_id", { required: true });
  const pipelineBase64 = fields.text("pipeline_b64", { required: true });
  const optional = {
    gitUrl: fields.text("git_url"),
    tokenEncrypted: fields.text("github_token_encrypted"),
    image: fields.text("docker_image"),
    cpuLimit: fields.text("cpu_limit"),
    memoryLimit: fields.text("memory_limit"),
    callbackUrl: fields.text("callback_url"),
    priority: fields.integer("priority", { min: 0, max: 9 }),
    timeoutMs: fields.seconds("timeout"),
    artifacts: fields.textList("artifacts"),
  };
  const gitBranch = fields.text("git_branch");
  const env = fields.textRecord("env_vars");
  if (fields.problems.length > 0 || jobId === undefined || pipelineBase64 === undefined) {
    return invalid(fields.problems);
  }
  return {
    kind: "read",
    request: {
      jobId,
      pipelineBase64,
      gitBranch: gitBranch === undefined || gitBranch === "" ? "main" : gitBranch,
      env: env ?? {},
      ...present(optional),
    },
  };
}

/** What is wrong with a body that is no JSON. */
export function jsonInvalid(position: number): ValidationDetail {
  return {
    type: "json_invalid",
    loc: ["body", position],
    msg: "JSON decode error",
    input: {},
    ctx: { error: "Invalid JSON" },
  };
}

/** What is wrong with a request without the header. */
export const HEADER_MISSING: ValidationDetail = {
  type: "missing",
  loc: ["header", "x-api-key"],
  msg: "Field required",
  input: null,
};

interface IntegerOptions {
  readonly required?: boolean;
  readonly min?: number;
  readonly max?: number;
}

/** Reads fields and gathers what is wrong with them. */
class Fields {
  readonly problems: ValidationDetail[] = [];
  readonly #body: object;

  constructor(body: object) {
    this.#body = body;
  }

  text(name: string, { required = false }: { readonly required?: boolean } = {}) {
    const value = this.#take(name, required);
    if (value === undefined || typeof value === "string") return value;
    return this.#fail(["body", name], "string_type", "Input should be a valid string");
  }

  integer(name: string, { required = false, min, max }: IntegerOptions = {}) {
    const value = this.#take(name, required);
    if (value === undefined) return undefined;
    const loc = ["body", name];
    const parsed = toInteger(value);
    if (typeof parsed !== "number") {
      return this.#fail(loc, parsed.type, parsed.msg, isScalar(value) ? value : undefined);
    }
    if (min !== undefined && parsed < min) {
      const msg = `Input should be greater than or equal to ${min}`;
      return this.#fail(loc, "greater_than_equal", msg, parsed, { ge: min });
    }
    if (max !== undefined && parsed > max) {
      const msg = `Input should be less than or equal to ${max}`;
      return this.#fail(loc, "less_than_equal", msg, parsed, { le: max });
    }
    return parsed;
  }

  /** A number of seconds above 0; milliseconds inside. */
  seconds(name: string): number | undefined {
    const value = this.#take(name, false);
    if (value === undefined) return undefined;
    const loc = ["body", name];
    const seconds = typeof value === "string" && /^\s*\d+(\.\d+)?\s*$/.test(value)
      ? Number(value)
      : value;
    if (typeof seconds !== "number") {
      return this.#fail(loc, "float_type", "Input should be a valid number");
    }
    if (!Number.isFinite(seconds * 1_000)) {
      return this.#fail(loc, "finite_number", "Input should be a finite number");
    }
    if (seconds > 0) return Math.max(1, Math.round(seconds * 1_000));
    return this.#fail(loc, "greater_than", "Input should be greater than 0", seconds, { gt: 0 });
  }

  textList(name: string): readonly string[] | undefined {
    const value = this.#take(name, false);
    if (value === undefined) return undefined;
    if (!Array.isArray(value)) {
      return this.#fail(["body", name], "list_type", "Input should be a valid list");
    }
    return value.flatMap((item: unknown, index) => {
      if (typeof item === "string") return [item];
      this.#fail(["body", name, index], "string_type", "Input should be a valid string");
      return [];
    });
  }

  textRecord(name: string): Readonly<Record<string, string>> | undefined {
    const value = this.#take(name, false);
    if (value === undefined) return undefined;
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      return this.#fail(["body", name], "dict_type", "Input should be a valid dictionary");
    }
    const entries = Object.entries(value).flatMap(([key, item]): [string, string][] => {
      if (typeof item === "string") return [[key, item]];
      const loc = ["body", name, key.slice(0, 256)];
      this.#fail(loc, "string_type", "Input should be a valid string");
      return [];
    });
    return Object.fromEntries(entries);
  }

  /** The field's value; one that may be left out may also be null. */
  #take(name: string, required: boolean): unknown {
    const value: unknown = Object.getOwnPropertyDescriptor(this.#body, name)?.value;
    if (value === undefined && required) {
      return this.#fail(["body", name], "missing", "Field required");
    }
    return value === null && !required ? undefined : value;
  }

  #fail(
    loc: readonly (string | number)[],
    type: string,
    msg: string,
    input?: unknown,
    ctx?: Readonly<Record<string, unknown>>,
  ): undefined {
    if (this.problems.length >= MAX_DETAILS) return undefined;
    this.problems.push({
      type,
      loc,
      msg,
      ...(input === undefined ? {} : { input }),
      ...(ctx === undefined ? {} : { ctx }),
    });
    return undefined;
  }
}

/** Whole numbers also as text, as true and false, and with a fraction of zero. */
function toInteger(value: unknown): number | { readonly type: string; readonly msg: string } {
  if (typeof value === "boolean") return value ? 1 : 0;
  if (typeof value === "number" && !Number.isInteger(value)) {
    return {
      type: "int_from_float",
      msg: "Input should be a valid integer, got a number with a fractional part",
    };
  }
  const text = typeof value === "string" ? value.trim() : value;
  if (typeof text === "string" && !/^[+-]?\d+(_\d+)*(\.0+)?$/.test(text)) {
    return {
      type: "int_parsing",
      msg: "Input should be a valid integer, unable to parse string as an integer",
    };
  }
  if (typeof text !== "string" && typeof text !== "number") {
    return { type: "int_type", msg: "Input should be a valid integer" };
  }
  const number = Number(typeof text === "string" ? text.replaceAll("_", "") : text);
  if (Number.isSafeInteger(number)) return number;
  return {
    type: "int_parsing_size",
    msg: "Unable to parse input string as an integer, exceeded maximum size",
  };
}

function isScalar(value: unknown): boolean {
  return typeof value === "number" || (typeof value === "string" && value.length <= 100);
}

function invalid(detail: readonly ValidationDetail[]): ParsedGrytRequest {
  return { kind: "invalid", detail };
}

type Present<T> = { readonly [K in keyof T]?: Exclude<T[K], undefined> };

function present<T extends object>(values: T): Present<T> {
  return Object.fromEntries(
    Object.entries(values).filter(([, value]) => value !== undefined),
  ) as Present<T>;
}
