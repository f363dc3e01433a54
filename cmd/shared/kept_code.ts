/**
 * Keeps the compiled code of a program between its runs.
 *
 * The runtime keeps that of a module as it is before the first function is called, so each start
 * compiled a thousand functions again: a third of its time. What has run is kept here, beside the
 * runtime's own caches, in the directory that the launcher has examined: no other account can write
 * there, because the code is executed unseen.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { Script } from "node:vm";

/** A part of a program, as the build has made it. */
interface Part {
  /** Its file; the name has a hash of the content. */
  readonly path: string;
  /** Arguments of its function. */
  readonly given: readonly unknown[];
}

/** Where a program finds the function that keeps its code; see {@linkcode keepCode}. */
const KEEP = Symbol.for("cicd-toolkit.keepCode");
const DIGEST_BYTES = 32;
const MAX_BYTES = 16 * 1024 * 1024;
/** The launcher examines files with this in their names, and removes those that are not to be trusted. */
const SUFFIX = "_cache_v1";

/**
 * Runs a part of a program, with the code that an earlier run has kept, if it is intact.
 *
 * @returns Its exports.
 */
export async function loadPart({ path, given }: Part): Promise<unknown> {
  const name = path.slice(path.lastIndexOf("/") + 1);
  const directory = Deno.env.get("DENO_DIR");
  const kept = directory === undefined ? undefined : `${directory}/${name}${SUFFIX}`;
  const cachedData = kept === undefined ? undefined : readKept(kept);
  const script = new Script(Deno.readTextFileSync(path), {
    filename: `file://${path}`,
    ...(cachedData === undefined ? {} : { cachedData }),
  });
  // V8 refuses the code of another version of itself, or of other flags.
  const bytes = script.cachedDataRejected === true ? 0 : cachedData?.length ?? 0;
  if (kept !== undefined) {
    const keep = (isExit: boolean) => {
      if (!isExit || bytes === 0) writeKept(kept, script.createCachedData(), bytes);
    };
    Object.defineProperty(globalThis, KEEP, { value: keep, configurable: true });
  }
  const run: unknown = script.runInThisContext();
  if (typeof run !== "function") throw new TypeError(`Not a part of a program: ${path}`);
  return await run(...given);
}

/**
 * Keeps the code that the program has compiled, once; nothing if it was not loaded as a part.
 *
 * It takes some milliseconds, so it is for a program that has nothing else to do. One that exits
 * keeps only what was not kept at all.
 */
export function keepCode({ isExit = false }: { readonly isExit?: boolean } = {}): void {
  const keep: unknown = Reflect.get(globalThis, KEEP);
  if (typeof keep !== "function") return;
  Reflect.deleteProperty(globalThis, KEEP);
  keep(isExit);
}

/** Returns kept code; `undefined` if there is none, or it is damaged: V8 would execute it. */
function readKept(file: string): Uint8Array | undefined {
  try {
    const { isFile, size } = Deno.statSync(file);
    if (!isFile || size > MAX_BYTES) return undefined;
    const bytes = Deno.readFileSync(file);
    const code = bytes.subarray(DIGEST_BYTES);
    return digestOf(code).equals(bytes.subarray(0, DIGEST_BYTES)) ? code : undefined;
  } catch {
    // Without it, the code is compiled as at the first start.
    return undefined;
  }
}

/** Keeps code if it is much more than before, such as that of the first job. */
function writeKept(file: string, code: Uint8Array, bytesBefore: number): void {
  if (code.length < bytesBefore * 1.1) return;
  const at = file.lastIndexOf("/") + 1;
  const directory = file.slice(0, at);
  const stem = file.slice(at, file.lastIndexOf("-") + 1);
  const draft = `${file}.${Deno.pid}`;
  try {
    // Of other releases, and drafts for which there was no room.
    for (const { name } of Deno.readDirSync(directory)) {
      const isOld = name.startsWith(stem) && `${directory}${name}` !== file;
      if (isOld) Deno.removeSync(`${directory}${name}`);
    }
    // At once: another program that keeps its code may remove the draft at any time.
    const whole = new Uint8Array(DIGEST_BYTES + code.length);
    whole.set(digestOf(code));
    whole.set(code, DIGEST_BYTES);
    Deno.writeFileSync(draft, whole, { createNew: true, mode: 0o600 });
    Deno.renameSync(draft, file);
  } catch (error) {
    // No room, or no such directory: the next start compiles again.
    if (!(error instanceof Error)) throw error;
  }
}

function digestOf(code: Uint8Array) {
  return createHash("sha256").update(code).digest();
}
