/**
 * What units need on disk while they run: their secrets, and the program that
 * records their end. All of it lies on the runtime directory's tmpfs, which lives
 * exactly as long as the user's service manager, and so as its units.
 *
 * @module
 */
import { createHash } from "node:crypto";
import type { UnitName } from "@lib/foundations/systemd/unit_name.ts";
import { RECORD_PROGRAM } from "@lib/spine/executors/record_result.ts";

/** The files of mode 0600 in `$XDG_RUNTIME_DIR/cicd-toolkit`. */
export class RuntimeFiles {
  readonly #secrets: string;
  readonly #recorder: string;

  /** @param runtimeDir `$XDG_RUNTIME_DIR`. */
  constructor(runtimeDir: string) {
    const directory = `${runtimeDir}/cicd-toolkit`;
    // Named by its content, so that an upgrade leaves alone what running units will still call.
    const hash = createHash("sha256").update(RECORD_PROGRAM).digest("hex").slice(0, 16);
    this.#secrets = `${directory}/secrets`;
    this.#recorder = `${directory}/record-result-${hash}.sh`;
  }

  /** Sees to it that the program for `ExecStopPost=` is there; returns its path. */
  recorder(): string {
    if (!isThere(this.#recorder)) replace(this.#recorder, RECORD_PROGRAM);
    return this.#recorder;
  }

  /** Writes the variables of a unit; returns the file's path. */
  writeEnvironment(unit: UnitName, variables: Iterable<readonly [string, string]>): string {
    const path = this.#pathOf(unit);
    replace(path, formatEnvironmentFile(variables));
    return path;
  }

  /** Removes the variables of a unit; there need not be any. */
  removeEnvironment(unit: UnitName): void {
    try {
      Deno.removeSync(this.#pathOf(unit));
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }

  #pathOf(unit: UnitName): string {
    return `${this.#secrets}/${unit}.env`;
  }
}

/** Writes in one step: systemd may be reading the file for an earlier start of the same unit. */
function replace(path: string, text: string): void {
  const dir = path.slice(0, path.lastIndexOf("/"));
  Deno.mkdirSync(dir, { recursive: true, mode: 0o700 });
  const draft = Deno.makeTempFileSync({ dir, prefix: ".draft-" });
  try {
    Deno.writeTextFileSync(draft, text);
    Deno.renameSync(draft, path);
  } catch (error) {
    Deno.removeSync(draft);
    throw error;
  }
}

function isThere(path: string): boolean {
  try {
    return Deno.lstatSync(path).isFile;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/**
 * Formats variables, one after the other, as the text of an `EnvironmentFile=`.
 *
 * Every value stands in double quotes. There systemd's reader ends at `"`, and drops a backslash
 * only in front of `"`, `\`, `` ` `` and `$`; everything else, line ends and control characters
 * included, is taken as it is, and nothing is expanded.
 *
 * @throws {RangeError} If a name is no variable name or a value holds a NUL.
 */
export function formatEnvironmentFile(variables: Iterable<readonly [string, string]>): string {
  let text = "";
  for (const [name, value] of variables) {
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) {
      throw new RangeError(`Cannot write variable "${name}": it is no variable name`);
    }
    if (value.includes("\0") || !value.isWellFormed()) {
      throw new RangeError(`Cannot write variable "${name}": its value is no text for execve`);
    }
    text += `${name}="${value.replaceAll(/["\\`$]/g, "\\$&")}"\n`;
  }
  return text;
}
