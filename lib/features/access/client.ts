/**
 * Requests about API keys.
 *
 * Each function throws what {@linkcode RunnerTransport.json} throws.
 *
 * @module
 */
import { reading, type ReadingOf } from "@lib/api/client/reading.ts";
import type { RunnerTransport } from "@lib/api/client/transport.ts";
import { issuedKeySchema, keyListSchema, keySchema } from "@lib/features/access/answers.ts";

/** A key, without its text. */
export type KeyAnswer = ReadingOf<typeof keySchema>;
/** A key with its text, which is told this once. */
export type IssuedKeyAnswer = ReadingOf<typeof issuedKeySchema>;

const readKey = reading(keySchema, "the key");
const readKeys = reading(keyListSchema, "the keys");
const readIssuedKey = reading(issuedKeySchema, "the key");

/** A key to be made. */
export interface KeyRequest {
  readonly name: string;
  readonly scopes: readonly string[];
  /** Absent: all. */
  readonly projects?: readonly string[];
  /** In seconds. */
  readonly expires_in?: number;
}

/** Makes a key. */
export function createKey(
  runner: RunnerTransport,
  request: KeyRequest,
  signal: AbortSignal,
): Promise<IssuedKeyAnswer> {
  return runner.ask(readIssuedKey, { method: "POST", path: "/v1/keys", body: request, signal });
}

/** Lists all keys, the oldest first. */
export async function listKeys(
  runner: RunnerTransport,
  signal: AbortSignal,
): Promise<readonly KeyAnswer[]> {
  return (await runner.ask(readKeys, { path: "/v1/keys", signal })).keys;
}

/** Gives a key another secret; that of now stays good for `overlapMs`. */
export function rotateKey(
  runner: RunnerTransport,
  { id, overlapMs }: { readonly id: string; readonly overlapMs: number },
  signal: AbortSignal,
): Promise<IssuedKeyAnswer> {
  const path = `${keyPath(id)}/rotate?overlap=${Math.ceil(overlapMs / 1_000)}s`;
  return runner.ask(readIssuedKey, { method: "POST", path, signal });
}

/** Revokes a key, for good. */
export function revokeKey(
  runner: RunnerTransport,
  id: string,
  signal: AbortSignal,
): Promise<KeyAnswer> {
  return runner.ask(readKey, { method: "POST", path: `${keyPath(id)}/revoke`, signal });
}

function keyPath(id: string): string {
  return `/v1/keys/${encodeURIComponent(id)}`;
}
