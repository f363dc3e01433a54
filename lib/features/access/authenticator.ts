/**
 * The gate of requests that come over a network: who shows a good key passes.
 *
 * @module
 */
import { isIPv6 } from "node:net";
import type { Authenticator } from "@lib/api/access.ts";
import type { Clock } from "@lib/core/clock.ts";
import { CicdError } from "@lib/core/errors.ts";
import type { Logger } from "@lib/core/logger.ts";
import { type KeyCaller } from "@lib/core/caller.ts";
import { type ApiKey, type KeyProblem, type KeyStore } from "@lib/features/access/key_store.ts";
import { keyOf } from "@lib/features/access/key_text.ts";
import { TokenBuckets } from "@lib/features/access/token_buckets.ts";

/** Options for {@linkcode KeyAuthenticator}. */
export interface KeyAuthenticatorOptions {
  readonly keys: KeyStore;
  readonly requestsPerMinute: () => number;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Failed attempts that one address may make in a minute before it is told to wait. */
export const FAILURES_PER_MINUTE = 30;
/** As many keys as there can be; and addresses that are remembered. */
const MAX_NAMES = 4_096;

const TEXT: Readonly<Record<KeyProblem, string>> = {
  unknown: "the key is not known here",
  revoked: "the key has been revoked",
  expired: "the key has expired",
};

/** Tells who asks. */
export class KeyAuthenticator implements Authenticator {
  readonly #options: KeyAuthenticatorOptions;
  readonly #requests: TokenBuckets;
  readonly #failures: TokenBuckets;

  constructor(options: KeyAuthenticatorOptions) {
    const { clock, requestsPerMinute } = options;
    this.#options = options;
    this.#requests = new TokenBuckets({
      clock,
      perMinute: requestsPerMinute,
      maxNames: MAX_NAMES,
    });
    this.#failures = new TokenBuckets({
      clock,
      perMinute: () => FAILURES_PER_MINUTE,
      maxNames: MAX_NAMES,
    });
  }

  /**
   * Finds out who asks, by the key in the header.
   *
   * A good key passes whatever failed before from its address: many may share one, as behind a
   * proxy, and 256 bits are not found by trying.
   *
   * @throws {CicdError} `unauthorized`, or `rate_limited` with the time to wait.
   */
  authenticate(headers: Headers, address: string): KeyCaller {
    const text = keyOf(headers);
    if (text === undefined || text === "") {
      throw this.#failed(
        address,
        "no key came with it; send it as 'Authorization: Bearer KEY' or 'X-API-Key: KEY' " +
          "('cicd-runner keys create' makes one)",
      );
    }
    const check = this.#options.keys.check(text);
    if (check.kind === "bad") throw this.#failed(address, TEXT[check.problem]);
    const { key } = check;
    const taken = this.#requests.take(key.id);
    if (taken.kind === "empty") {
      throw new CicdError(
        "rate_limited",
        `Cannot take the request: key "${key.name}" has made more than ` +
          `${this.#options.requestsPerMinute()} in a minute (listen.requests_per_minute)`,
        { retryAfterMs: taken.retryAfterMs },
      );
    }
    this.#noteUse(key);
    const { id, name, scopes, projects } = key;
    return { kind: "key", id, name, scopes, ...(projects === undefined ? {} : { projects }) };
  }

  /**
   * Counts a request without a good key of another kind, such as Gryt's own.
   *
   * @throws {CicdError} `rate_limited`, with the time to wait, if too many came from `address`.
   */
  countFailure(address: string, why: string): void {
    const error = this.#failed(address, why);
    if (error.code === "rate_limited") throw error;
  }

  #noteUse(key: ApiKey): void {
    try {
      this.#options.keys.noteUse(key);
    } catch (error) {
      // A full disk must not keep those out who come to make room.
      this.#options.log.warning("Cannot note the use of a key", { key: key.id, error });
    }
  }

  #failed(address: string, why: string): CicdError {
    const taken = this.#failures.take(networkOf(address));
    if (taken.kind === "empty") {
      return new CicdError(
        "rate_limited",
        `Cannot take the request: too many without a good key came from "${address}"`,
        { retryAfterMs: taken.retryAfterMs },
      );
    }
    this.#options.log.info("A request without a good key was refused", { address, why });
    return new CicdError("unauthorized", `Cannot take the request: ${why}`);
  }
}

/** The network of an IPv6 address: who has one address has the 2^64 around it. */
function networkOf(address: string): string {
  if (!isIPv6(address)) return address;
  const [head = "", tail] = address.split("::");
  const groups = head === "" ? [] : head.split(":");
  if (tail !== undefined) {
    const after = tail === "" ? 0 : tail.split(":").length;
    while (groups.length + after < 8) groups.push("0");
  }
  return `${groups.slice(0, 4).join(":")}::/64`;
}
