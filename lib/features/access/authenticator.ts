/**
 * Authenticates requests from the network by API key.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { isIPv6 } from "node:net";
import type { Authenticator } from "@lib/api/access.ts";
import type { Clock } from "@lib/core/clock.ts";
import { CicdError, ignore } from "@lib/core/errors.ts";
import type { Logger } from "@lib/core/logger.ts";
import { type KeyCaller } from "@lib/core/caller.ts";
import {
  type ApiKey,
  type KeyPrint,
  type KeyProblem,
  type KeyStore,
  printOf,
} from "@lib/features/access/key_store.ts";
import { TokenBuckets } from "@lib/features/access/token_buckets.ts";

/** Options for {@linkcode KeyAuthenticator}. */
export interface KeyAuthenticatorOptions {
  readonly keys: KeyStore;
  readonly requestsPerMinute: () => number;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Failed attempts per minute after which an address must wait. */
const FAILURES_PER_MINUTE = 30;
/** More than the keys there can be; also the number of addresses that are remembered. */
const MAX_NAMES = 4_096;

/** Interval of the checks of keys with open streams. */
const WATCH_MS = 2_000;

const TEXT: Readonly<Record<KeyProblem, string>> = {
  unknown: "the key is unknown",
  revoked: "the key has been revoked",
  expired: "the key has expired",
};

/** Identifies callers by their keys. */
export class KeyAuthenticator implements Authenticator {
  readonly #options: KeyAuthenticatorOptions;
  readonly #requests: TokenBuckets;
  readonly #failures: TokenBuckets;
  /** Keys with answers that may still go on, by their print; each is valid, so they are few. */
  readonly #watched = new Map<
    string,
    { readonly print: KeyPrint; readonly over: AbortController }
  >();

  constructor(options: KeyAuthenticatorOptions) {
    const { clock, requestsPerMinute } = options;
    this.#options = options;
    const buckets = { clock, maxNames: MAX_NAMES };
    this.#requests = new TokenBuckets({ ...buckets, perMinute: requestsPerMinute });
    this.#failures = new TokenBuckets({ ...buckets, perMinute: () => FAILURES_PER_MINUTE });
  }

  /**
   * Identifies the caller by the key in the headers.
   *
   * A valid key is accepted regardless of failures from its address: many callers may share one, as
   * behind a proxy, and 256 bits cannot be guessed.
   *
   * @throws {CicdError} `unauthorized`, or `rate_limited` with the time to wait.
   */
  authenticate(headers: Headers, address: string): KeyCaller {
    const text = keyOf(headers);
    if (text === undefined || text === "") {
      throw this.#failed(
        address,
        "it has no key; send it as 'Authorization: Bearer KEY' or 'X-API-Key: KEY' " +
          "('cicd-runner keys create' creates one)",
      );
    }
    const check = this.#options.keys.check(text);
    if (check.kind === "bad") throw this.#failed(address, TEXT[check.problem]);
    const { key } = check;
    const taken = this.#requests.take(key.id);
    if (taken.kind === "empty") {
      throw new CicdError(
        "rate_limited",
        `Cannot accept the request: key "${key.name}" has made more than ` +
          `${this.#options.requestsPerMinute()} in a minute (listen.requests_per_minute)`,
        { retryAfterMs: taken.retryAfterMs },
      );
    }
    this.#noteUse(key);
    const { id, name, scopes, projects } = key;
    return { kind: "key", id, name, scopes, ...(projects === undefined ? {} : { projects }) };
  }

  invalidated(headers: Headers): AbortSignal {
    const print = printOf(keyOf(headers) ?? "");
    const name = Buffer.from(print.hash).toString("hex");
    const watched = this.#watched.get(name) ?? { print, over: new AbortController() };
    this.#watched.set(name, watched);
    return watched.over.signal;
  }

  /** Ends the answers to keys that have been revoked, replaced or have expired, until `signal` aborts. */
  async watch(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#options;
    while (!signal.aborted) {
      try {
        this.#endInvalid();
      } catch (error) {
        log.warning("Cannot check the keys of open streams; trying again", { error });
      }
      await clock.sleep(WATCH_MS, { signal }).catch(ignore("the runner ends"));
    }
  }

  #endInvalid(): void {
    for (const [name, { print, over }] of this.#watched) {
      const check = this.#options.keys.recheck(print);
      if (check.kind === "good") continue;
      this.#watched.delete(name);
      over.abort(new CicdError("unauthorized", `Cannot go on: ${TEXT[check.problem]}`));
    }
  }

  countFailure(address: string, why: string): void {
    const error = this.#failed(address, why);
    if (error.code === "rate_limited") throw error;
  }

  #noteUse(key: ApiKey): void {
    try {
      this.#options.keys.noteUse(key);
    } catch (error) {
      // A full disk must not lock out those who could free space.
      this.#options.log.warning("Cannot record the use of a key", { key: key.id, error });
    }
  }

  #failed(address: string, why: string): CicdError {
    const taken = this.#failures.take(networkOf(address));
    if (taken.kind === "empty") {
      return new CicdError(
        "rate_limited",
        `Cannot accept the request: too many without a valid key came from "${address}"`,
        { retryAfterMs: taken.retryAfterMs },
      );
    }
    this.#options.log.info("A request without a valid key was refused", { address, why });
    return new CicdError("unauthorized", `Cannot accept the request: ${why}`);
  }
}

/** Returns the /64 network of an IPv6 address: its owner has all 2^64 addresses. */
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

/** Returns the key in `Authorization: Bearer` or `X-API-Key`, if any. */
function keyOf(headers: Headers): string | undefined {
  const bearer = /^bearer +(\S+) *$/i.exec(headers.get("authorization") ?? "")?.[1];
  return bearer ?? headers.get("x-api-key")?.trim();
}
