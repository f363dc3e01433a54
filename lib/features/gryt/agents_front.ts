/**
 * Forwards jobs to several agents in turn.
 *
 * A job is tried at another agent only if the first cannot have taken it: there
 * was no connection, or it answered that it has no room. A connection that
 * breaks later may have left a running job, so the client gets an error, and
 * nothing runs twice.
 *
 * @module
 */
import type { Clock } from "@lib/core/clock.ts";
import type { Secret } from "@lib/foundations/secrets/secret.ts";
import type { OutgoingResult, SendRequest } from "@lib/features/gryt/outgoing.ts";

/** Header of a forwarded request; the agent that receives it runs the job itself. */
export const FORWARDED_HEADER = "x-gryt-forwarded";

/** A job to forward. */
export interface ForwardJob {
  readonly agents: readonly string[];
  readonly grytId: number;
  readonly body: Uint8Array<ArrayBuffer>;
  readonly apiKey: Secret;
  readonly timeoutMs: number;
  readonly maxAnswerBytes: number;
}

/** The result of {@linkcode AgentsFront.forward}. */
export type ForwardResult =
  | {
    readonly kind: "answered";
    readonly agent: string;
    readonly status: number;
    readonly body: Uint8Array<ArrayBuffer>;
  }
  /** No agent took it. */
  | { readonly kind: "nobody" }
  /** An agent may run it; its answer is lost. */
  | { readonly kind: "lost"; readonly agent: string; readonly why: string };

/** For how long a health check stays valid. */
const HEALTH_VALID_MS = 10_000;
const HEALTH_TIMEOUT_MS = 2_000;
const HEALTH_MAX_BYTES = 64 * 1024;
/** Most jobs whose agents are remembered. */
const MAX_REMEMBERED = 10_000;

interface Owner {
  readonly agent: string;
  /** Absent an answer, the agent may still run the job. */
  readonly answered: boolean;
}

/** The result of one agent; the last two have not taken the job. */
type AgentResult =
  | Exclude<ForwardResult, { readonly kind: "nobody" }>
  | { readonly kind: "no_room" | "unreachable" };

/** Forwards jobs to agents in turn. */
export class AgentsFront {
  readonly #send: SendRequest;
  readonly #clock: Clock;
  readonly #health = new Map<string, { readonly at: number; readonly healthy: boolean }>();
  /** The agents of jobs, so that a client that asks again joins its job. */
  readonly #owners = new Map<number, Owner>();
  #turn = 0;

  constructor({ send, clock }: { readonly send: SendRequest; readonly clock: Clock }) {
    this.#send = send;
    this.#clock = clock;
  }

  /** @throws The signal's reason when `signal` aborts; the agent goes on with the job. */
  async forward(job: ForwardJob, signal: AbortSignal): Promise<ForwardResult> {
    const owner = this.#owners.get(job.grytId);
    if (owner !== undefined && job.agents.includes(owner.agent)) {
      const result = await this.#try(job, owner.agent, signal);
      if (result.kind === "answered" || result.kind === "lost") return result;
      // The agent may run the job although it does not respond.
      if (result.kind === "unreachable" && !owner.answered) {
        return { kind: "lost", agent: owner.agent, why: "it is no longer reachable" };
      }
    }
    for (const agent of this.#inTurn(job.agents)) {
      if (agent === owner?.agent || !await this.#isHealthy(agent, signal)) continue;
      this.#remember(job.grytId, { agent, answered: false });
      const result = await this.#try(job, agent, signal);
      if (result.kind === "answered" || result.kind === "lost") return result;
      this.#owners.delete(job.grytId);
    }
    return { kind: "nobody" };
  }

  #inTurn(agents: readonly string[]): readonly string[] {
    const first = this.#turn++ % Math.max(1, agents.length);
    return [...agents.slice(first), ...agents.slice(0, first)];
  }

  async #try(
    { grytId, body, apiKey, timeoutMs, maxAnswerBytes }: ForwardJob,
    agent: string,
    signal: AbortSignal,
  ): Promise<AgentResult> {
    const result = await this.#send({
      url: new URL(`${agent}/jobs/execute`),
      method: "POST",
      headers: {
        "content-type": "application/json",
        "x-api-key": apiKey.expose(),
        [FORWARDED_HEADER]: "1",
      },
      body,
      timeoutMs,
      maxAnswerBytes,
      signal,
    });
    switch (result.kind) {
      case "answered":
        if (result.status === 429 || result.status === 503) return { kind: "no_room" };
        this.#remember(grytId, { agent, answered: true });
        return { kind: "answered", agent, status: result.status, body: result.body };
      case "broken":
        return { kind: "lost", agent, why: result.why };
      case "unreachable":
      case "forbidden":
        this.#health.set(agent, { at: this.#clock.now(), healthy: false });
        return { kind: "unreachable" };
    }
  }

  async #isHealthy(agent: string, signal: AbortSignal): Promise<boolean> {
    const known = this.#health.get(agent);
    if (known !== undefined && this.#clock.now() - known.at < HEALTH_VALID_MS) return known.healthy;
    const result = await this.#send({
      url: new URL(`${agent}/health`),
      method: "GET",
      headers: {},
      timeoutMs: HEALTH_TIMEOUT_MS,
      maxAnswerBytes: HEALTH_MAX_BYTES,
      signal,
    });
    const healthy = isHealthy(result);
    this.#health.set(agent, { at: this.#clock.now(), healthy });
    return healthy;
  }

  #remember(grytId: number, owner: Owner): void {
    this.#owners.delete(grytId);
    this.#owners.set(grytId, owner);
    const [oldest] = this.#owners.keys();
    if (this.#owners.size > MAX_REMEMBERED && oldest !== undefined) this.#owners.delete(oldest);
  }
}

/** The status is always 200; the body says whether jobs can run. */
function isHealthy(result: OutgoingResult): boolean {
  if (result.kind !== "answered" || result.status !== 200) return false;
  try {
    const value: unknown = JSON.parse(new TextDecoder().decode(result.body));
    return typeof value === "object" && value !== null && "status" in value &&
      value.status === "healthy";
  } catch (error) {
    if (error instanceof SyntaxError) return false;
    throw error;
  }
}
