/**
 * Parses the body of `POST /jobs/execute` as the Gryt agent does: it ignores
 * unknown fields, accepts numbers as text, and reports problems in the shape
 * that its clients know.
 *
 * @module
 */

/** One problem of a request. */
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

/** The result of {@linkcode parseGrytRequest}. */
export type ParsedGrytRequest =
  | { readonly kind: "read"; readonly request: GrytRequest }
  | { readonly kind: "invalid"; readonly detail: readonly ValidationDetail[] };

/** Problems that are reported at once. */
const MAX_DETAILS = 32;

/** Parses a JSON body. */
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
  const gitBranch = fields.text("git_branch") || "main";
  const env = fields.textRecord("env_vars") ?? {};
  if (fields.problems.length > 0 || jobId === undefined || pipelineBase64 === undefined) {
    return invalid(fields.problems);
  }
  return {
    kind: "read",
    request: { jobId, pipelineBase64, gitBranch, env, ...present(optional) },
  };
}

/** Describes a body that is not JSON. */
export function jsonInvalid(position: number): ValidationDetail {
  return {
    type: "json_invalid",
    loc: ["body", position],
    msg: "JSON decode error",
    input: {},
    ctx: { error: "Invalid JSON" },
  };
}

/** Describes a request without the key. */
export const HEADER_MISSING: ValidationDetail = {
  type: "missing",
  loc: ["header", "x-api-key"],
  msg: "Field required",
  input: null,
};

interface Rules {
  readonly required?: boolean;
  readonly min?: number;
  readonly max?: number;
}

/** Reads fields and collects their problems. */
class Fields {
  readonly problems: ValidationDetail[] = [];
  readonly #body: object;

  constructor(body: object) {
    this.#body = body;
  }

  text(name: string, rules: Rules = {}): string | undefined {
    const value = this.#take(name, rules);
    if (value === undefined || typeof value === "string") return value;
    return this.#fail([name], "string_type", "Input should be a valid string");
  }

  integer(name: string, rules: Rules): number | undefined {
    const value = this.#take(name, rules);
    if (value === undefined) return undefined;
    const { min = -Infinity, max = Infinity } = rules;
    const parsed = toInteger(value);
    if (typeof parsed !== "number") {
      const isShort = typeof value === "number" ||
        (typeof value === "string" && value.length <= 100);
      return this.#fail([name], parsed.type, parsed.msg, isShort ? { input: value } : {});
    }
    if (parsed < min) {
      const msg = `Input should be greater than or equal to ${min}`;
      return this.#fail([name], "greater_than_equal", msg, { input: parsed, ctx: { ge: min } });
    }
    if (parsed > max) {
      const msg = `Input should be less than or equal to ${max}`;
      return this.#fail([name], "less_than_equal", msg, { input: parsed, ctx: { le: max } });
    }
    return parsed;
  }

  /** Reads seconds above 0 as milliseconds. */
  seconds(name: string): number | undefined {
    const value = this.#take(name);
    if (value === undefined) return undefined;
    const seconds = typeof value === "string" && /^\s*\d+(\.\d+)?\s*$/.test(value)
      ? Number(value)
      : value;
    if (typeof seconds !== "number") {
      return this.#fail([name], "float_type", "Input should be a valid number");
    }
    if (!Number.isFinite(seconds * 1_000)) {
      return this.#fail([name], "finite_number", "Input should be a finite number");
    }
    if (seconds > 0) return Math.max(1, Math.round(seconds * 1_000));
    const given = { input: seconds, ctx: { gt: 0 } };
    return this.#fail([name], "greater_than", "Input should be greater than 0", given);
  }

  textList(name: string): readonly string[] | undefined {
    const value = this.#take(name);
    if (value === undefined) return undefined;
    if (!Array.isArray(value)) {
      return this.#fail([name], "list_type", "Input should be a valid list");
    }
    return value.filter((item: unknown, index) => this.#isText(item, [name, index]));
  }

  textRecord(name: string): Readonly<Record<string, string>> | undefined {
    const value = this.#take(name);
    if (value === undefined) return undefined;
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      return this.#fail([name], "dict_type", "Input should be a valid dictionary");
    }
    const entries = Object.entries(value);
    return Object.fromEntries(
      entries.filter(([key, item]) => this.#isText(item, [name, key.slice(0, 256)])),
    );
  }

  #isText(item: unknown, at: ValidationDetail["loc"]): boolean {
    if (typeof item === "string") return true;
    this.#fail(at, "string_type", "Input should be a valid string");
    return false;
  }

  /** Returns the field's value; an optional field may also be null. */
  #take(name: string, { required = false }: Rules = {}): unknown {
    const value: unknown = Object.getOwnPropertyDescriptor(this.#body, name)?.value;
    if (value === undefined && required) return this.#fail([name], "missing", "Field required");
    return value === null && !required ? undefined : value;
  }

  #fail(
    at: ValidationDetail["loc"],
    type: string,
    msg: string,
    more: Pick<ValidationDetail, "input" | "ctx"> = {},
  ): undefined {
    if (this.problems.length >= MAX_DETAILS) return undefined;
    this.problems.push({ type, loc: ["body", ...at], msg, ...more });
    return undefined;
  }
}

/** Accepts whole numbers also as text, as true and false, and with a fraction of zero. */
function toInteger(value: unknown): number | Pick<ValidationDetail, "type" | "msg"> {
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

function invalid(detail: readonly ValidationDetail[]): ParsedGrytRequest {
  return { kind: "invalid", detail };
}

type Present<T> = { readonly [K in keyof T]?: Exclude<T[K], undefined> };

function present<T extends object>(values: T): Present<T> {
  return Object.fromEntries(
    Object.entries(values).filter(([, value]) => value !== undefined),
  ) as Present<T>;
}
