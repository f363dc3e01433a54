/**
 * The record of which images jobs used, for whoever tidies them up.
 *
 * One small file per image in `<state>/images/`, named after the image's id; its time of change is
 * that of the last use.
 *
 * @module
 */
import * as v from "valibot";

/** One image that jobs used. */
export interface ImageUse {
  /** Such as `sha256:…`. */
  readonly id: string;
  /** As the last job named it. */
  readonly reference: string;
  /** Of the last job. */
  readonly project: string;
  /** Whether a job brought the image here; what was here before is not ours to remove. */
  readonly pulled: boolean;
  /** Milliseconds since the epoch. */
  readonly usedAt: number;
}

const record = v.object({ reference: v.string(), project: v.string(), pulled: v.boolean() });

/** Writes down that a job uses an image now; one that was ever pulled by a job stays so. */
export function recordImageUse(stateDir: string, use: Omit<ImageUse, "usedAt">): void {
  const path = fileOf(stateDir, use.id);
  const pulled = use.pulled || (readUse(path)?.pulled ?? false);
  Deno.mkdirSync(directoryOf(stateDir), { recursive: true, mode: 0o700 });
  const draft = Deno.makeTempFileSync({ dir: directoryOf(stateDir), prefix: ".draft-" });
  const { reference, project } = use;
  Deno.writeTextFileSync(draft, JSON.stringify({ reference, project, pulled }) + "\n");
  Deno.renameSync(draft, path);
}

/** The images that jobs used, in no order; a damaged record counts as not there. */
export function readImageUses(stateDir: string): readonly ImageUse[] {
  const uses: ImageUse[] = [];
  for (const name of filesIn(directoryOf(stateDir))) {
    const [, algorithm, hex] = /^([a-z0-9]+)-([0-9a-f]{32,128})$/.exec(name) ?? [];
    if (algorithm === undefined) continue;
    const path = `${directoryOf(stateDir)}/${name}`;
    const use = readUse(path);
    const usedAt = use === undefined ? undefined : changedAt(path);
    if (use !== undefined && usedAt !== undefined) {
      uses.push({ id: `${algorithm}:${hex}`, ...use, usedAt });
    }
  }
  return uses;
}

/** Forgets an image that is gone; there need not be a record. */
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

/** Engines say `sha256:…`, Podman also the digits alone. */
function fileOf(stateDir: string, id: string): string {
  const [, algorithm = "sha256", hex] = /^(?:([a-z0-9]+):)?([0-9a-f]{32,128})$/.exec(id) ?? [];
  if (hex === undefined) throw new RangeError(`Cannot record the use of image "${id}": no id`);
  return `${directoryOf(stateDir)}/${algorithm}-${hex}`;
}

function filesIn(path: string): readonly string[] {
  try {
    return [...Deno.readDirSync(path)].filter(({ isFile }) => isFile).map(({ name }) => name);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

function readUse(path: string): v.InferOutput<typeof record> | undefined {
  try {
    const { success, output } = v.safeParse(record, JSON.parse(Deno.readTextFileSync(path)));
    return success ? output : undefined;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function changedAt(path: string): number | undefined {
  try {
    return Deno.lstatSync(path).mtime?.getTime();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}
