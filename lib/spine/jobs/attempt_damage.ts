/**
 * Damage that a job without a border does to the directory of its attempt, and its repair.
 *
 * Such a job is the same account as the programs: it can remove, replace and close whatever is in
 * its directory, and the directories above. That may cost it its result, and nobody else anything.
 *
 * @module
 */
import { existsSync, statIfThereSync, writeOverDraft } from "@lib/foundations/files/records.ts";
import type { AttemptDirectory } from "@lib/spine/jobs/attempt_directory.ts";

/** The damage of an attempt of which nothing is there; one that never was looks the same. */
const DIRECTORY_REMOVED = "its directory was removed";

/**
 * Returns true if a path in an attempt's directory exists, whose damage was just found.
 *
 * A look at what is not there takes long, as the runtime makes an error of it.
 */
export function isThere(path: string, damage: string | undefined): boolean {
  return damage !== DIRECTORY_REMOVED && existsSync(path);
}

/**
 * Finds damage to an attempt's directory. Opens directories that were closed to the account, and
 * removes what stands in the place of one, so that the caller can go on.
 *
 * @returns The damage, for people; `undefined` if there is none.
 */
export function repairDirectory(
  { levels, attemptFile }: Pick<AttemptDirectory, "levels" | "attemptFile">,
): string | undefined {
  let damage: string | undefined;
  for (const level of levels) {
    const found = statIfThereSync(level);
    if (found === undefined) return DIRECTORY_REMOVED;
    if (found.isDirectory) {
      if (((found.mode ?? OPEN) & OPEN) === OPEN) continue;
      Deno.chmodSync(level, OPEN);
      damage = "its directory was closed to the account";
    } else if (!leadsToDirectory(level)) {
      Deno.removeSync(level);
      return "its directory was replaced by something else";
    }
  }
  if (damage !== undefined || statIfThereSync(attemptFile)?.isFile === true) return damage;
  return "its record attempt.json was removed or replaced";
}

/**
 * Writes a record of an attempt atomically. If that fails, repairs the directory, moves a directory
 * out of the way that stands in the record's place, removes a draft that was closed to the account,
 * and tries once more.
 */
export function writeRecord(directory: AttemptDirectory, file: string, text: string): void {
  try {
    writeOverDraft(file, text);
  } catch (error) {
    // If it was none of this, the second try fails in the same way.
    repairDirectory(directory);
    const draft = `${file}.draft`;
    const isClosed = error instanceof Deno.errors.PermissionDenied;
    if (isClosed && statIfThereSync(draft)?.isFile === true) Deno.removeSync(draft);
    Deno.mkdirSync(directory.path, { recursive: true, mode: OPEN });
    // Removing it could take long; it goes with the attempt.
    const aside = `${file}.${crypto.randomUUID().slice(0, 8)}`;
    if (statIfThereSync(file)?.isDirectory === true) Deno.renameSync(file, aside);
    writeOverDraft(file, text);
  }
}

const OPEN = 0o700;

/** The state directory may be spread over disks with links. */
function leadsToDirectory(link: string): boolean {
  try {
    return Deno.statSync(link).isDirectory;
  } catch {
    return false;
  }
}
