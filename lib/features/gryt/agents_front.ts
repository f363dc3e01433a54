/**
 * One address before several agents.
 *
 * A job goes to the agents in turn. It is tried elsewhere only if the agent
 * cannot have taken it: there was no connection, or it said that it has no room.
 * A connection that breaks later may have left a running job behind, so the
 * client is told, and nothing runs twice.
 *
 * @module
 */
import type { Clock } from "@lib/core/clock.ts";
import type { Secret } from "@lib/foundations/secrets/secret.ts";
import type { OutgoingResult, SendRequest } from "@lib/features/gryt/outgoing.ts";

/** The header of a request that was passed on once; the next one runs it. */
export const FORWARDED_HEADER = "x-gryt-forwarded";

/** What {@linkcode AgentsFront} works with. */
export interface AgentsFrontOptions {
  readonly send: SendRequest;
  readonly clock: Clock;
}

/** A job to pass on. */
export interface ForwardJob {
  readonly agents: readonly string[];
  readonly grytId: number;
  readonly body: Uint8Array<ArrayBuffer>;
  readonly apiKey: Secret;
  readonly timeoutMs: number;
  readonly maxAnswerBytes: number;
}

/** What came of a job that was passed on. */
export type ForwardResult =
  | {
    readonly kind: "answered";
    readonly agent: string;
    readonly status: number;
    readonly body: Uint8Array<ArrayBuffer>;
  }
  /** Not one of the agents took it. */
  | { readonly kind: "nobody" }
  /** An agent may run it; its answer is lost. */
  | { readonly kind: "lost"; readonly agent: string; readonly why: string };

/** How long a look at an agent holds good. */
const LOOK_MS = 10_000;
const LOOK_TIMEOUT_MS = 2_000;
const LOOK_MAX_BYTES = 64 * 1024;
/** Jobs of which it is remembered who has them. */
const MAX_REMEMBERED = 10_000;

interface Look {
  readonly at: number;
  readonly healthy: boolean;
}

interface Owner {
  readonly agent: string;
  /** Whether it has told the end; else it may still run the job. */
  readonly answered: boolean;
}

/** What one agent said; the last two have not taken the job. */
type PassResult =
  | Exclude<ForwardResult, { readonly kind: "nobody" }>
  | { readonly kind: "no_room" | "unreachable" };

/** Passes jobs on to agents in turn. */
export class AgentsFront {
  readonly #options: AgentsFrontOptions;
  readonly #looks = new Map<string, Look>();
  /** Who has a job, so that a client that asks again joins it. */
  readonly #owners = new Map<number, Owner>();
  #turn = 0;

  constructor(options: AgentsFrontOptions) {
    this.#options = options;
  }

  /** @throws The signal's reason when `signal` aborts; the agent goes on with the job. */
  async forward(job: ForwardJob, signal: AbortSignal): Promise<ForwardResult> {
    const owner = this.#owners.get(job.grytId);
    if (owner !== undefined && job.agents.includes(owner.agent)) {
      const result = await this.#pass(job, owner.agent, signal);
      if (result.kind === "answered" || result.kind === "lost") return result;
      // It may run the job though nobody answers there.
      if (result.kind === "unreachable" && !owner.answered) {
        return { kind: "lost", agent: owner.agent, why: "it cannot be reached any more" };
      }
    }
    for (const agent of this.#inTurn(job.agents)) {
      if (agent === owner?.agent || !await this.#isHealthy(agent, signal)) continue;
      this.#remember(job.grytId, { agent, answered: false });
      const result = await this.#pass(job, agent, signal);
      if (result.kind === "answered" || result.kind === "lost") return result;
      this.#owners.delete(job.grytId);
    }
    return { kind: "nobody" };
  }

  #inTurn(agents: readonly string[]): readonly string[] {
    const first = this.#turn++ % Math.max(1, agents.length);
    return [...agents.slice(first), ...agents.slice(0, first)];
  }

  async #pass(
    { grytId, body, apiKey, timeoutMs, maxAnswerBytes }: ForwardJob,
    agent: string,
    signal: AbortSignal,
  ): Promise<PassResult> {
    const result = await this.#options.send({
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
        this.#looks.set(agent, { at: this.#options.clock.now(), healthy: false });
        return { kind: "unreachable" };
    }
  }

  async #isHealthy(agent: string, signal: AbortSignal): Promise<boolean> {
    const { clock, send } = this.#options;
    const known = this.#looks.get(agent);
    if (known !== undefined && clock.now() - known.at < LOOK_MS) return known.healthy;
    const result = await send({
      url: new URL(`${agent}/health`),
      method: "GET",
      headers: {},
      timeoutMs: LOOK_TIMEOUT_MS,
      maxAnswerBytes: LOOK_MAX_BYTES,
      signal,
    });
    const healthy = saysHealthy(result);
    this.#looks.set(agent, { at: clock.now(), healthy });
    return healthy;
  }

  #remember(grytId: number, owner: Owner): void {
    this.#owners.delete(grytId);
    this.#owners.set(grytId, owner);
    const [oldest] = this.#owners.keys();
    if (this.#owners.size > MAX_REMEMBERED && oldest !== undefined) this.#owners.delete(oldest);
  }
}

/** The status is 200 in any case; whether jobs can run stands in the body. */
function saysHealthy(result: OutgoingResult): boolean {
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
