/**
 * The record of API keys: who holds one, what it allows, and until when.
 *
 * @module
 */
import { timingSafeEqual } from "node:crypto";
import type { Clock } from "@lib/core/clock.ts";
import { CicdError } from "@lib/core/errors.ts";
import { parseProjectName, type ProjectName } from "@lib/core/ids.ts";
import { type Scope, SCOPES } from "@lib/core/caller.ts";
import { hashKey, keyIdOf, mintKey, NO_HASH } from "@lib/features/access/key_text.ts";
import type { Database, SqlRow } from "@lib/foundations/store/database.ts";

/** What is known of a key; the key itself is not. Times are milliseconds since the epoch. */
export interface ApiKey {
  readonly id: string;
  readonly name: string;
  readonly scopes: readonly Scope[];
  /** Absent: all. */
  readonly projects?: readonly ProjectName[];
  readonly createdAt: number;
  /** To within {@linkcode USE_STEP_MS}. */
  readonly lastUsedAt?: number;
  readonly expiresAt?: number;
  readonly revokedAt?: number;
  /** Until when the secret before the last rotation is still good. */
  readonly previousUntil?: number;
}

/** A key to be made. */
export interface NewKey {
  readonly name: string;
  readonly scopes: readonly Scope[];
  readonly projects?: readonly ProjectName[];
  readonly expiresAt?: number;
}

/** A key with its text, which is shown this once. */
export interface IssuedKey {
  readonly key: ApiKey;
  readonly text: string;
}

/** Why a key's text is not good. */
export type KeyProblem = "unknown" | "revoked" | "expired";

/** What came of checking a key's text. */
export type KeyCheck =
  | { readonly kind: "good"; readonly key: ApiKey }
  | { readonly kind: "bad"; readonly problem: KeyProblem };

/** How exactly the last use of a key is kept: not every request waits for a write. */
export const USE_STEP_MS = 10 * 60_000;
const MAX_KEYS = 1_000;
/** Keys that are no good are forgotten after this time when room is needed. */
const FORGET_AFTER_MS = 90 * 86_400_000;

/** The keys of one runner. */
export class KeyStore {
  readonly #db: Database;
  readonly #clock: Clock;

  constructor(db: Database, clock: Clock) {
    this.#db = db;
    this.#clock = clock;
  }

  /**
   * Makes a key.
   *
   * @throws {CicdError} `state_conflict` if there are too many.
   */
  create(key: NewKey): IssuedKey {
    const now = this.#clock.now();
    const { id, text, hash } = mintKey();
    this.#db.transaction(() => {
      this.#makeRoom(now);
      this.#db.run(
        `INSERT INTO api_keys (id, name, hash, scopes, projects, created_at, expires_at)
         VALUES (?, ?, ?, ?, ?, ?, ?)`,
        id,
        key.name,
        hash,
        JSON.stringify(key.scopes),
        key.projects === undefined ? null : JSON.stringify(key.projects),
        now,
        key.expiresAt ?? null,
      );
    });
    return { key: this.require(id), text };
  }

  /** All keys, the oldest first. */
  list(): readonly ApiKey[] {
    return this.#db.all("SELECT * FROM api_keys ORDER BY created_at, id").map(parseRow);
  }

  /** @throws {CicdError} `not_found` */
  require(id: string): ApiKey {
    const row = this.#db.first("SELECT * FROM api_keys WHERE id = ?", id);
    if (row === undefined) throw new CicdError("not_found", `Cannot find key "${id}"`);
    return parseRow(row);
  }

  /**
   * Gives a key another secret.
   *
   * @param overlapMs How long the secret of now stays good.
   * @throws {CicdError} `not_found`, or `state_conflict` if the key is revoked or has expired.
   */
  rotate(id: string, overlapMs: number): IssuedKey {
    const now = this.#clock.now();
    const minted = mintKey(id);
    this.#db.transaction(() => {
      const { revokedAt, expiresAt = Infinity } = this.require(id);
      if (revokedAt !== undefined || expiresAt <= now) {
        const state = revokedAt === undefined ? "has expired" : "is revoked";
        throw new CicdError(
          "state_conflict",
          `Cannot rotate key "${id}": it ${state}; make another`,
        );
      }
      this.#db.run(
        `UPDATE api_keys SET previous_hash = CASE WHEN ? THEN hash END, previous_until = ?, hash = ?
         WHERE id = ?`,
        overlapMs > 0 ? 1 : 0,
        overlapMs > 0 ? now + overlapMs : null,
        minted.hash,
        id,
      );
    });
    return { key: this.require(id), text: minted.text };
  }

  /** Makes a key useless, for good; idempotent. @throws {CicdError} `not_found` */
  revoke(id: string): ApiKey {
    this.#db.run(
      `UPDATE api_keys SET revoked_at = coalesce(revoked_at, ?), previous_hash = NULL,
         previous_until = NULL WHERE id = ?`,
      this.#clock.now(),
      id,
    );
    return this.require(id);
  }

  /** Checks a key's text; one that is not on record takes as long as one with a wrong secret. */
  check(text: string): KeyCheck {
    const now = this.#clock.now();
    const given = hashKey(text);
    const row = this.#db.first("SELECT * FROM api_keys WHERE id = ?", keyIdOf(text) ?? "");
    const isCurrent = timingSafeEqual(given, hashIn(row, "hash"));
    const isPrevious = timingSafeEqual(given, hashIn(row, "previous_hash"));
    if (row === undefined || !(isCurrent || isPrevious)) return { kind: "bad", problem: "unknown" };
    const key = parseRow(row);
    if (key.revokedAt !== undefined) return { kind: "bad", problem: "revoked" };
    const until = Math.min(
      key.expiresAt ?? Infinity,
      isCurrent ? Infinity : key.previousUntil ?? 0,
    );
    return until > now ? { kind: "good", key } : { kind: "bad", problem: "expired" };
  }

  /**
   * Notes that a key was used, now and then; whether it was written is no matter to the request.
   *
   * @throws {CicdError} `disk_full`, `io_failed`
   */
  noteUse({ id, lastUsedAt = -Infinity }: ApiKey): void {
    const now = this.#clock.now();
    if (now - lastUsedAt < USE_STEP_MS) return;
    this.#db.transaction(
      () => this.#db.run("UPDATE api_keys SET last_used_at = ? WHERE id = ?", now, id),
      "relaxed",
    );
  }

  #makeRoom(now: number): void {
    const count = Number(this.#db.first("SELECT count(*) AS n FROM api_keys")?.["n"] ?? 0);
    if (count < MAX_KEYS) return;
    const removed = this.#db.run(
      "DELETE FROM api_keys WHERE min(coalesce(revoked_at, expires_at), coalesce(expires_at, revoked_at)) < ?",
      now - FORGET_AFTER_MS,
    );
    if (removed > 0) return;
    throw new CicdError(
      "state_conflict",
      `Cannot make another key: there are ${count}; revoked and expired ones go after 90 days`,
    );
  }
}

function hashIn(row: SqlRow | undefined, column: string): Uint8Array {
  const value = row?.[column];
  return value instanceof Uint8Array && value.length === NO_HASH.length ? value : NO_HASH;
}

function parseRow(row: SqlRow): ApiKey {
  const projects = row["projects"];
  return {
    id: String(row["id"]),
    name: String(row["name"]),
    scopes: SCOPES.filter((scope) => listIn(row["scopes"]).includes(scope)),
    createdAt: Number(row["created_at"]),
    ...(typeof projects === "string"
      ? { projects: listIn(projects).flatMap((name) => parseProjectName(name) ?? []) }
      : {}),
    ...time("lastUsedAt", row["last_used_at"]),
    ...time("expiresAt", row["expires_at"]),
    ...time("revokedAt", row["revoked_at"]),
    ...time("previousUntil", row["previous_until"]),
  };
}

function time<K extends string>(name: K, value: unknown): { [key in K]?: number } {
  return typeof value === "number" ? { [name]: value } as { [key in K]?: number } : {};
}

/** A list that cannot be read allows nothing. */
function listIn(value: unknown): readonly string[] {
  const list: unknown = typeof value === "string" ? JSON.parse(value) : [];
  return Array.isArray(list) ? list.filter((one) => typeof one === "string") : [];
}
