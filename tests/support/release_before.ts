/**
 * A state directory as the release before left it: its database as SQL text, and its other files.
 *
 * @module
 */
import { DatabaseSync, type SQLOutputValue } from "node:sqlite";

const FIXTURE = new URL("../fixtures/release_before/", import.meta.url);

/** A job of the fixture. */
export interface JobBefore {
  readonly id: string;
  /** As the release before answered `GET /v1/jobs/ID`. */
  readonly view: Readonly<Record<string, unknown>>;
  /** As it answered `GET /v1/jobs/ID/logs`. */
  readonly log: string;
}

/** The parts of the fixture that are not in the state directory. */
export interface Before {
  /** An API key in plain text. */
  readonly apiKey: string;
  /** The value of the secrets. */
  readonly secret: string;
  readonly jobs: Readonly<Record<string, JobBefore>>;
}

/** A file below the state directory; binary ones in base64. */
interface StateFile {
  readonly mode: number;
  readonly text?: string;
  readonly base64?: string;
}

/** Restores the fixture into a directory that does not exist yet. */
export function restoreBefore(stateDir: string): Before {
  Deno.mkdirSync(stateDir, { mode: 0o700 });
  const files: Readonly<Record<string, StateFile>> = JSON.parse(read("files.json"));
  for (const [path, { mode, text, base64 }] of Object.entries(files)) {
    const directory = `${stateDir}/${path}`.replace(/\/[^/]*$/, "");
    Deno.mkdirSync(directory, { recursive: true, mode: 0o700 });
    const bytes = text === undefined
      ? Uint8Array.fromBase64(base64 ?? "")
      : new TextEncoder().encode(text);
    Deno.writeFileSync(`${stateDir}/${path}`, bytes, { mode });
  }
  using database = new DatabaseSync(`${stateDir}/${DATABASE}`);
  database.exec(read("runner.sql"));
  // A clock that is behind the one of the machine that made this must not hold the queue up.
  database.exec(`UPDATE jobs SET not_before = 0 WHERE not_before > ${Date.now()}`);
  return JSON.parse(read("before.json"));
}

/** Writes the fixture from a state directory that no program uses. */
export function storeBefore(stateDir: string, before: Before): void {
  Deno.mkdirSync(FIXTURE, { recursive: true });
  using database = new DatabaseSync(`${stateDir}/${DATABASE}`);
  Deno.writeTextFileSync(new URL("runner.sql", FIXTURE), dump(database));
  const files: Record<string, StateFile> = {};
  collect(stateDir, "", files);
  Deno.writeTextFileSync(new URL("files.json", FIXTURE), `${JSON.stringify(files, null, 2)}\n`);
  Deno.writeTextFileSync(new URL("before.json", FIXTURE), `${JSON.stringify(before, null, 2)}\n`);
}

const DATABASE = "runner.db";

function read(name: string): string {
  return Deno.readTextFileSync(new URL(name, FIXTURE));
}

function collect(stateDir: string, below: string, files: Record<string, StateFile>): void {
  const entries = [...Deno.readDirSync(`${stateDir}/${below}`)];
  for (const { name, isFile, isDirectory } of entries.sort((a, b) => a.name < b.name ? -1 : 1)) {
    const path = `${below}${name}`;
    if (isDirectory) collect(stateDir, `${path}/`, files);
    if (!isFile || path.startsWith(DATABASE) || path.endsWith(".lock")) continue;
    const bytes = Deno.readFileSync(`${stateDir}/${path}`);
    const mode = (Deno.statSync(`${stateDir}/${path}`).mode ?? 0) & 0o777;
    const text = new TextDecoder().decode(bytes);
    const isText = /^[\n\t\x20-\x7e]*$/.test(text);
    files[path] = { mode, ...(isText ? { text } : { base64: bytes.toBase64() }) };
  }
}

function dump(database: DatabaseSync): string {
  const version = database.prepare("PRAGMA user_version").get()?.["user_version"];
  const lines = [`PRAGMA user_version = ${version};`, "BEGIN;"];
  const things = database.prepare(
    "SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY type = 'index', rowid",
  ).all();
  for (const { type, name, sql } of things) {
    lines.push(`${sql};`);
    if (type !== "table") continue;
    for (const row of database.prepare(`SELECT * FROM "${name}"`).all()) {
      const values = Object.values(row).map(literal);
      lines.push(`INSERT INTO "${name}" VALUES (${values.join(", ")});`);
    }
  }
  return [...lines, "COMMIT;", ""].join("\n");
}

function literal(value: SQLOutputValue): string {
  if (value === null) return "NULL";
  if (value instanceof Uint8Array) return `X'${value.toHex()}'`;
  return typeof value === "string" ? `'${value.replaceAll("'", "''")}'` : String(value);
}
