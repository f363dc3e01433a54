/**
 * API keys of a runner, as functions.
 *
 * @module
 */
import * as v from "valibot";
import { parseAnswer } from "@lib/api/client/answers.ts";
import type { RunnerTransport } from "@lib/api/client/transport.ts";

const time = v.nullable(v.string());

const keySchema = v.looseObject({
  id: v.string(),
  name: v.string(),
  scopes: v.array(v.string()),
  projects: v.nullable(v.array(v.string())),
  created_at: v.string(),
  last_used_at: time,
  expires_at: time,
  revoked_at: time,
  previous_until: time,
});

const keyListSchema = v.looseObject({ keys: v.array(keySchema) });

const issuedKeySchema = v.looseObject({ ...keySchema.entries, key: v.string() });

/** A key, without its text. */
export type KeyAnswer = v.InferOutput<typeof keySchema>;
/** A key with its text, which is told this once. */
export type IssuedKeyAnswer = v.InferOutput<typeof issuedKeySchema>;

/** A key to be made. */
export interface KeyRequest {
  readonly name: string;
  readonly scopes: readonly string[];
  /** Absent: all. */
  readonly projects?: readonly string[];
  /** In seconds. */
  readonly expires_in?: number;
}

/** Each function throws what {@linkcode RunnerTransport.json} throws. */
export async function createKey(
  transport: RunnerTransport,
  request: KeyRequest,
  signal: AbortSignal,
): Promise<IssuedKeyAnswer> {
  const answer = await transport.json({ method: "POST", path: "/v1/keys", body: request, signal });
  return parseAnswer(issuedKeySchema, answer, "the key");
}

/** All keys, the oldest first. */
export async function listKeys(
  transport: RunnerTransport,
  signal: AbortSignal,
): Promise<readonly KeyAnswer[]> {
  const answer = await transport.json({ method: "GET", path: "/v1/keys", signal });
  return parseAnswer(keyListSchema, answer, "the keys").keys;
}

/** Gives a key another secret; that of now stays good for `overlapMs`. */
export async function rotateKey(
  transport: RunnerTransport,
  { id, overlapMs }: { readonly id: string; readonly overlapMs: number },
  signal: AbortSignal,
): Promise<IssuedKeyAnswer> {
  const path = `${keyPath(id)}/rotate?overlap=${Math.ceil(overlapMs / 1_000)}s`;
  const answer = await transport.json({ method: "POST", path, signal });
  return parseAnswer(issuedKeySchema, answer, "the key");
}

/** Makes a key useless. */
export async function revokeKey(
  transport: RunnerTransport,
  id: string,
  signal: AbortSignal,
): Promise<KeyAnswer> {
  const answer = await transport.json({ method: "POST", path: `${keyPath(id)}/revoke`, signal });
  return parseAnswer(keySchema, answer, "the key");
}

function keyPath(id: string): string {
  return `/v1/keys/${encodeURIComponent(id)}`;
}
