/**
 * Files of running units: their secrets, and the program that records their end.
 *
 * They are on the runtime directory's tmpfs, which exists as long as the user's service manager,
 * and so as its units.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { leadsToSomething } from "@lib/foundations/files/records.ts";
import type { UnitName } from "@lib/foundations/systemd/unit_name.ts";
import { RECORD_PROGRAM } from "@lib/spine/executors/record_result.ts";

/** Files of mode 0600 in `$XDG_RUNTIME_DIR/cicd-toolkit`. */
export class RuntimeFiles {
  readonly #secrets: string;
  readonly #recorder: string;

  /** @param runtimeDir `$XDG_RUNTIME_DIR`. */
  constructor(runtimeDir: string) {
    const directory = `${runtimeDir}/cicd-toolkit`;
    // Named by its content, so that an upgrade keeps the program of running units.
    const hash = createHash("sha256").update(RECORD_PROGRAM).digest("hex").slice(0, 16);
    this.#secrets = `${directory}/secrets`;
    this.#recorder = `${directory}/record-result-${hash}.sh`;
  }

  /** Writes the program for `ExecStopPost=` if it is missing; returns its path. */
  recorder(): string {
    if (!leadsToSomething(this.#recorder)) replace(this.#recorder, RECORD_PROGRAM);
    return this.#recorder;
  }

  /** Writes the variables of a unit; returns the file's path. */
  writeEnvironment(unit: UnitName, variables: Iterable<readonly [string, string]>): string {
    const path = this.#pathOf(unit);
    replace(path, formatEnvironmentFile(variables));
    return path;
  }

  /** Removes the variables of a unit, if there are any. */
  removeEnvironment(unit: UnitName): void {
    const path = this.#pathOf(unit);
    if (!leadsToSomething(path)) return;
    try {
      Deno.removeSync(path);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }

  #pathOf(unit: UnitName): string {
    return `${this.#secrets}/${unit}.env`;
  }
}

/** Writes atomically: systemd may be reading the file for an earlier start of the same unit. */
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

/**
 * Formats variables as the text of an `EnvironmentFile=`.
 *
 * Values are in double quotes. There systemd drops a backslash only before `"`, `\`, `` ` `` and
 * `$`, and takes everything else literally, including line ends and control characters.
 *
 * @throws {RangeError} If a name is invalid or a value has a NUL.
 */
export function formatEnvironmentFile(variables: Iterable<readonly [string, string]>): string {
  let text = "";
  for (const [name, value] of variables) {
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) {
      throw new RangeError(`Cannot write variable "${name}": invalid name`);
    }
    if (value.includes("\0") || !value.isWellFormed()) {
      throw new RangeError(
        `Cannot write variable "${name}": its value has a NUL or a lone surrogate`,
      );
    }
    text += `${name}="${value.replaceAll(/["\\`$]/g, "\\$&")}"\n`;
  }
  return text;
}
