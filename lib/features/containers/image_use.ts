/**
 * Records of the images that jobs use, for cleaning.
 *
 * One small file per image in `<state>/images/`, named after the image's id. Its modification time
 * is the time of the last use.
 *
 * @module
 */
import * as v from "valibot";
import {
  filesIn,
  readIfThere,
  readIfThereSync,
  statIfThere,
} from "@lib/foundations/files/records.ts";

/** An image that jobs used. */
export interface ImageUse {
  /** Such as `sha256:…`. */
  readonly id: string;
  /** Its name in the last job. */
  readonly reference: string;
  /** Project of the last job. */
  readonly project: string;
  /** Set if a job pulled the image; others are never removed. */
  readonly pulled: boolean;
  /** Milliseconds since the epoch. */
  readonly usedAt: number;
}

const record = v.pipe(
  v.string(),
  v.parseJson(),
  v.object({ reference: v.string(), project: v.string(), pulled: v.boolean() }),
);

/** Records that a job uses an image; `pulled` stays set once it is. */
export function recordImageUse(
  stateDir: string,
  { id, reference, project, pulled, usedAt }: ImageUse,
): void {
  const dir = directoryOf(stateDir);
  const path = fileOf(stateDir, id);
  const earlier = parseUse(readIfThereSync(path));
  const use = { reference, project, pulled: pulled || earlier?.pulled === true };
  const at = usedAt / 1_000;
  if (JSON.stringify(earlier) === JSON.stringify(use) && touch(path, at)) return;
  Deno.mkdirSync(dir, { recursive: true, mode: 0o700 });
  // A draft of its own, as agents of several projects may write at once.
  const draft = Deno.makeTempFileSync({ dir, prefix: ".draft-" });
  Deno.writeTextFileSync(draft, `${JSON.stringify(use)}\n`);
  Deno.utimeSync(draft, at, at);
  Deno.renameSync(draft, path);
}

/** Returns the images that jobs used, in no order; a damaged record counts as absent. */
export async function readImageUses(stateDir: string): Promise<readonly ImageUse[]> {
  const uses: ImageUse[] = [];
  for (const name of filesIn(directoryOf(stateDir))) {
    const [, algorithm, hex] = /^([a-z0-9]+)-([0-9a-f]{32,128})$/.exec(name) ?? [];
    if (algorithm === undefined) continue;
    const path = `${directoryOf(stateDir)}/${name}`;
    const use = parseUse(await readIfThere(path));
    const usedAt = (await statIfThere(path))?.mtime?.getTime();
    if (use !== undefined && usedAt !== undefined) {
      uses.push({ id: `${algorithm}:${hex}`, ...use, usedAt });
    }
  }
  return uses;
}

/** Removes the record of an image that is gone, if there is one. */
export function forgetImageUse(stateDir: string, id: string): void {
  try {
    Deno.removeSync(fileOf(stateDir, id));
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

function directoryOf(stateDir: string): string {
  return `${stateDir}/images`;
}

/** Ids are `sha256:…`; Podman also uses the digits alone. */
function fileOf(stateDir: string, id: string): string {
  const [, algorithm = "sha256", hex] = /^(?:([a-z0-9]+):)?([0-9a-f]{32,128})$/.exec(id) ?? [];
  if (hex === undefined) throw new RangeError(`Cannot record the use of image "${id}": invalid id`);
  return `${directoryOf(stateDir)}/${algorithm}-${hex}`;
}

/** @returns `false` if it was removed meanwhile. */
function touch(path: string, at: number): boolean {
  try {
    Deno.utimeSync(path, at, at);
    return true;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    return false;
  }
}

function parseUse(text: string | undefined): v.InferOutput<typeof record> | undefined {
  const { success, output } = v.safeParse(record, text);
  return success ? output : undefined;
}
