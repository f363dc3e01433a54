/**
 * Connections to providers, kept for a while: a TLS handshake takes longer than many answers begin.
 *
 * @module
 */
import { Agent as PlainAgent } from "node:http";
import { Agent as SecureAgent } from "node:https";
import type { Target } from "@lib/features/llm_proxy/targets.ts";

/** Shorter than providers keep an idle connection: one that is just being closed is not reused. */
const IDLE_MS = 15_000;
/** Idle connections to one provider. */
const MAX_IDLE = 8;

/** The connections of one proxy. Disposing it closes them. */
export class UpstreamAgents implements Disposable {
  readonly #plain = new PlainAgent({ keepAlive: true, maxFreeSockets: MAX_IDLE, timeout: IDLE_MS });
  readonly #secure = new SecureAgent({
    keepAlive: true,
    maxFreeSockets: MAX_IDLE,
    timeout: IDLE_MS,
  });

  /** Returns the agent of a target's scheme. */
  of({ isSecure }: Pick<Target, "isSecure">): PlainAgent {
    return isSecure ? this.#secure : this.#plain;
  }

  [Symbol.dispose](): void {
    this.#plain.destroy();
    this.#secure.destroy();
  }
}
