/**
 * The record of API keys, and their texts: `cicd_<id>_<secret>`.
 *
 * The id finds the record, the secret proves it. Only a SHA-256 of the text is kept: its 256 random
 * bits cannot be guessed, so a slow password hash would cost each request and add nothing.
 *
 * @module
 */
import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import type { Clock } from "@lib/core/clock.ts";
import { CicdError } from "@lib/core/errors.ts";
import { parseProjectName, type ProjectName } from "@lib/core/ids.ts";
import { type Scope, SCOPES } from "@lib/core/caller.ts";
import type { Database, SqlRow } from "@lib/foundations/store/database.ts";

/** A key without its text. Times are in milliseconds since the epoch. */
export interface ApiKey {
  readonly id: string;
  readonly name: string;
  readonly scopes: readonly Scope[];
  /** Absent: all. */
  readonly projects?: readonly ProjectName[];
  readonly createdAt: number;
  /** To within ten minutes. */
  readonly lastUsedAt?: number;
  readonly expiresAt?: number;
  readonly revokedAt?: number;
  /** End of validity of the secret before the last rotation. */
  readonly previousUntil?: number;
}

/** A key to create. */
export interface NewKey {
  readonly name: string;
  readonly scopes: readonly Scope[];
  readonly projects?: readonly ProjectName[] | undefined;
  readonly expiresAt?: number | undefined;
}

/** A key with its text, which is shown only once. */
export interface IssuedKey {
  readonly key: ApiKey;
  readonly text: string;
}

/** A reason to refuse a key. */
export type KeyProblem = "unknown" | "revoked" | "expired";

/** The result of checking a key's text. */
export type KeyCheck =
  | { readonly kind: "good"; readonly key: ApiKey }
  | { readonly kind: "bad"; readonly problem: KeyProblem };

/** Identifies the text of a key without being one. */
export interface KeyPrint {
  /** Empty: the text is not a key. */
  readonly id: string;
  readonly hash: Uint8Array;
}

/** Resolution of the last use of a key: not every request waits for a write. */
const USE_STEP_MS = 10 * 60_000;
const MAX_KEYS = 1_000;
/** Invalid keys may be deleted after this time when room is needed. */
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
   * Creates a key.
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

  /** Returns all keys, oldest first. */
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
   * @param overlapMs How long the current secret remains valid.
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
          `Cannot rotate key "${id}": it ${state}; create another`,
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

  /** Revokes a key permanently; idempotent. @throws {CicdError} `not_found` */
  revoke(id: string): ApiKey {
    this.#db.run(
      `UPDATE api_keys SET revoked_at = coalesce(revoked_at, ?), previous_hash = NULL,
         previous_until = NULL WHERE id = ?`,
      this.#clock.now(),
      id,
    );
    return this.require(id);
  }

  /** Checks a key's text; an unknown key takes as long as a wrong secret. */
  check(text: string): KeyCheck {
    return this.recheck(printOf(text));
  }

  /** Checks a key again that was valid before. */
  recheck({ id, hash: given }: KeyPrint): KeyCheck {
    const now = this.#clock.now();
    const row = this.#db.first("SELECT * FROM api_keys WHERE id = ?", id);
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
   * Records the use of a key, at most once per {@linkcode USE_STEP_MS}.
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
      `Cannot create another key: there are ${count}; revoked and expired ones are deleted after 90 days`,
    );
  }
}

const ID_BYTES = 8;
const SECRET_BYTES = 32;
const PATTERN = /^cicd_([0-9a-f]{16})_[A-Za-z0-9_-]{43}$/;
/** Stands in for the hash of an unknown key. */
const NO_HASH: Uint8Array = new Uint8Array(32);

/** Makes a key. @param id Absent: a new one. */
function mintKey(id = randomBytes(ID_BYTES).toString("hex")) {
  const text = `cicd_${id}_${randomBytes(SECRET_BYTES).toString("base64url")}`;
  return { id, text, hash: hashKey(text) };
}

/** Returns the print of a key's text. */
export function printOf(text: string): KeyPrint {
  return { id: PATTERN.exec(text)?.[1] ?? "", hash: hashKey(text) };
}

function hashKey(text: string): Uint8Array {
  return new Uint8Array(createHash("sha256").update(text).digest());
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

/** Parses a list; one that is not readable allows nothing. */
function listIn(value: unknown): readonly string[] {
  const list: unknown = typeof value === "string" ? JSON.parse(value) : [];
  return Array.isArray(list) ? list.filter((one) => typeof one === "string") : [];
}
