/**
 * Connections to providers, kept for a while: a TLS handshake takes longer than many answers begin.
 *
 * @module
 */
import { Agent } from "node:http";
import type { Target } from "@lib/features/llm_proxy/targets.ts";

/** Shorter than providers keep an idle connection: one that is just being closed is not reused. */
const IDLE_MS = 15_000;
/** Idle connections to one provider. */
const MAX_IDLE = 8;

const OPTIONS = { keepAlive: true, maxFreeSockets: MAX_IDLE, timeout: IDLE_MS };

/** The connections of one proxy. Disposing it closes them. */
export class UpstreamAgents implements Disposable {
  readonly #plain = new Agent(OPTIONS);
  #secure: Agent | undefined;
  #isDisposed = false;

  /** Returns the agent of a target's scheme. */
  async of({ isSecure }: Pick<Target, "isSecure">): Promise<Agent> {
    if (!isSecure) return this.#plain;
    const { Agent: SecureAgent } = await import("node:https");
    const secure = this.#secure ??= new SecureAgent(OPTIONS);
    if (this.#isDisposed) secure.destroy();
    return secure;
  }

  [Symbol.dispose](): void {
    this.#isDisposed = true;
    this.#plain.destroy();
    this.#secure?.destroy();
  }
}
