/**
 * The product as a client sees it: its socket and its units.
 *
 * @module
 */
import { systemClock } from "@lib/core/clock.ts";
import { UnixClient, type UnixResponse } from "@lib/foundations/http/unix_client.ts";
import { systemctl } from "./programs.ts";

/** The project of all measured jobs. */
export const PROJECT = "bench";
/** The units of the product. */
export const RUNNER_UNIT = "cicd-runner.service";
export const AGENT_UNIT = `cicd-agent@${PROJECT}.service`;

/** The body of a benchmark's job. */
export interface JobBody {
  readonly command: readonly string[];
  readonly limits?: Readonly<Record<string, string | number>>;
  readonly grace?: string;
}

/** A request with a JSON body, or none. */
export interface JsonRequest {
  readonly method: string;
  readonly path: string;
  readonly body?: unknown;
  readonly signal: AbortSignal;
}

/** Sends a request; read the response's body or dispose it. @throws {Error} If it fails. */
export async function sendJson(
  client: UnixClient,
  { method, path, body, signal }: JsonRequest,
): Promise<UnixResponse> {
  const response = await client.send({
    method,
    path,
    signal,
    ...(body === undefined ? {} : {
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    }),
  });
  if (response.status < 300) return response;
  throw new Error(`${method} ${path} returned ${response.status}: ${await response.text()}`);
}

/** The product, over persistent connections. */
export class Product implements Disposable {
  readonly socketPath = `${Deno.env.get("XDG_RUNTIME_DIR")}/cicd-runner.sock`;
  #client = new UnixClient(this.socketPath);

  /** Sends a request; read the response's body or dispose it. */
  async send(
    method: string,
    path: string,
    signal: AbortSignal,
    body?: unknown,
  ): Promise<UnixResponse> {
    return await sendJson(this.#client, { method, path, body, signal });
  }

  /** Sends a request and parses the response. */
  async ask(method: string, path: string, signal: AbortSignal, body?: unknown): Promise<unknown> {
    const response = await this.send(method, path, signal, body);
    return JSON.parse(await response.text());
  }

  /** Submits a job; resolves with its id once the row is on disk. */
  async submit(job: JobBody, signal: AbortSignal): Promise<string> {
    const answer = await this.ask("POST", "/v1/jobs", signal, { project: PROJECT, ...job });
    return textOf(answer, "id");
  }

  /** Resolves with the state once a job has ended. */
  async ended(id: string, signal: AbortSignal): Promise<string> {
    return textOf(await this.ask("GET", `/v1/jobs/${id}/wait?timeout=10m`, signal), "state");
  }

  /** Resolves once no job is queued or under way. */
  async idle(signal: AbortSignal): Promise<void> {
    while (true) {
      const answer = await this.ask(
        "GET",
        "/v1/jobs?state=queued,starting,running&limit=1",
        signal,
      );
      const jobs: unknown = Reflect.get(Object(answer), "jobs");
      if (Array.isArray(jobs) && jobs.length === 0) return;
      await rest(1, signal);
    }
  }

  /** Stops everything, deletes all jobs, restarts and warms up, so that all rows begin alike. */
  async reset(signal: AbortSignal): Promise<void> {
    await this.stop();
    const state = `${Deno.env.get("HOME")}/.local/state/cicd-toolkit`;
    for await (const entry of Deno.readDir(state)) {
      await Deno.remove(`${state}/${entry.name}`, { recursive: true });
    }
    for (let count = 0; count < 20; count++) {
      await this.ended(await this.submit({ command: ["/bin/true"] }, signal), signal);
    }
  }

  /** Stops both programs and every job; the sockets stay. */
  async stop(): Promise<void> {
    this.#client[Symbol.dispose]();
    await systemctl("stop", RUNNER_UNIT, "cicd-agent@*.service", "cicd.slice");
    // So many manual starts look like a crash loop.
    await systemctl("reset-failed");
    this.#client = new UnixClient(this.socketPath);
  }

  [Symbol.dispose](): void {
    this.#client[Symbol.dispose]();
  }
}

/** Returns a string field of a response. */
export function textOf(answer: unknown, key: string): string {
  const value: unknown = Reflect.get(Object(answer), key);
  if (typeof value === "string") return value;
  throw new Error(`The response has no ${key}: ${JSON.stringify(answer)}`);
}

/** Lets the machine rest between two measurements. */
export async function rest(ms: number, signal: AbortSignal): Promise<void> {
  await systemClock.sleep(ms, { signal });
}
