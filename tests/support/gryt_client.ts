/**
 * A client of Gryt's CI agent, written from its README alone.
 *
 * @module
 */

/** The body of `POST /jobs/execute`. */
export interface GrytJobBody {
  readonly job_id: number | string;
  readonly pipeline_b64: string;
  readonly git_url?: string;
  readonly git_branch?: string;
  readonly github_token_encrypted?: string;
  readonly docker_image?: string;
  readonly env_vars?: Readonly<Record<string, string>>;
  readonly cpu_limit?: string;
  readonly memory_limit?: string;
  readonly [other: string]: unknown;
}

/** A job's result. */
export interface GrytResult {
  readonly job_id: number;
  readonly success: boolean;
  readonly exit_code: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly duration_seconds: number;
  readonly started_at: string;
  readonly completed_at: string;
}

/** An answer with its status. */
export interface GrytResponse<T> {
  readonly status: number;
  readonly body: T;
}

/** Sends a request to the agent. */
export type Ask = (
  method: string,
  path: string,
  options?: { readonly headers?: Readonly<Record<string, string>>; readonly body?: unknown },
) => Promise<Response>;

/** Talks to an agent. */
export class GrytClient {
  readonly #ask: Ask;
  readonly #apiKey: string | undefined;

  constructor(ask: Ask, apiKey?: string) {
    this.#ask = ask;
    this.#apiKey = apiKey;
  }

  async health(): Promise<GrytResponse<Record<string, unknown>>> {
    const response = await this.#ask("GET", "/health");
    return { status: response.status, body: await response.json() };
  }

  /** Runs a job; the answer comes when it has ended. */
  async execute(job: GrytJobBody): Promise<GrytResponse<GrytResult & Record<string, unknown>>> {
    const response = await this.#ask("POST", "/jobs/execute", {
      headers: {
        "content-type": "application/json",
        ...(this.#apiKey === undefined ? {} : { "x-api-key": this.#apiKey }),
      },
      body: job,
    });
    return { status: response.status, body: await response.json() };
  }
}

/** The text of a pipeline as it is sent. */
export function pipelineBase64(text: string): string {
  return new TextEncoder().encode(text).toBase64();
}

/** Checks that a value has the documented shape of a result. */
export function isGrytResult(value: unknown): value is GrytResult {
  const kinds: Readonly<Record<string, string>> = {
    job_id: "number",
    success: "boolean",
    exit_code: "number",
    stdout: "string",
    stderr: "string",
    duration_seconds: "number",
    started_at: "string",
    completed_at: "string",
  };
  return typeof value === "object" && value !== null &&
    Object.entries(kinds).every(([name, kind]) =>
      typeof Object.getOwnPropertyDescriptor(value, name)?.value === kind
    ) && JSON.stringify(value).match(/"(started|completed)_at":"\d{4}-\d\d-\d\dT[\d:.]+Z"/g)
        ?.length === 2;
}
