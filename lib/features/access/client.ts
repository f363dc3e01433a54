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
/** A key with its text. */
export type IssuedKeyAnswer = ReadingOf<typeof issuedKeySchema>;

const readKey = reading(keySchema, "the key");
const readKeys = reading(keyListSchema, "the keys");
const readIssuedKey = reading(issuedKeySchema, "the key");

/** A key to create. */
export interface KeyRequest {
  readonly name: string;
  readonly scopes: readonly string[];
  /** Absent: all. */
  readonly projects?: readonly string[] | undefined;
  /** In seconds. */
  readonly expires_in?: number | undefined;
}

/** Creates a key. */
export function createKey(runner: RunnerTransport, body: KeyRequest, signal: AbortSignal) {
  return runner.ask(readIssuedKey, { method: "POST", path: "/v1/keys", body, signal });
}

/** Lists all keys, oldest first. */
export async function listKeys(runner: RunnerTransport, signal: AbortSignal) {
  return (await runner.ask(readKeys, { path: "/v1/keys", signal })).keys;
}

/** Replaces the secret of a key; the current one remains valid for `overlapMs`. */
export function rotateKey(
  runner: RunnerTransport,
  { id, overlapMs }: { readonly id: string; readonly overlapMs: number },
  signal: AbortSignal,
): Promise<IssuedKeyAnswer> {
  const path = `${keyPath(id)}/rotate?overlap=${Math.ceil(overlapMs / 1_000)}s`;
  return runner.ask(readIssuedKey, { method: "POST", path, signal });
}

/** Revokes a key permanently. */
export function revokeKey(runner: RunnerTransport, id: string, signal: AbortSignal) {
  return runner.ask(readKey, { method: "POST", path: `${keyPath(id)}/revoke`, signal });
}

function keyPath(id: string): string {
  return `/v1/keys/${encodeURIComponent(id)}`;
}
