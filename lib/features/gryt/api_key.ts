/**
 * The pre-shared key of the main API.
 *
 * @module
 */
import { createHash, timingSafeEqual } from "node:crypto";
import type { Secret } from "@lib/foundations/secrets/secret.ts";

/** What came of a key. */
export type KeyCheck = "right" | "missing" | "wrong" | "not_configured";

/**
 * Checks the `X-API-Key` of a request, in a time that tells nothing of how much of it is right.
 *
 * @param wanted The configured key; `undefined` if there is none, and then no key is right.
 */
export function checkApiKey(given: string | null, wanted: Secret | undefined): KeyCheck {
  if (given === null) return "missing";
  if (wanted === undefined) return "not_configured";
  // Digests have one length; two texts of different lengths could not be compared so.
  return timingSafeEqual(digest(given), digest(wanted.expose())) ? "right" : "wrong";
}

function digest(text: string): Uint8Array {
  return createHash("sha256").update(text).digest();
}
