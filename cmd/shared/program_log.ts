/**
 * The log of a program, in the journal or on standard error.
 *
 * @module
 */
import type { ValuesOf } from "@lib/foundations/config/key.ts";
import type { LOG } from "@lib/foundations/config/program_keys.ts";
import { statIfThere } from "@lib/foundations/files/records.ts";
import { chooseColour, chooseFormat } from "@lib/foundations/log/choose_format.ts";
import { openLineWriter } from "@lib/foundations/log/line_writer.ts";
import { type Log, openLog } from "@lib/foundations/log/log.ts";
import type { Platform } from "./platform.ts";

/** Tells if a `systemd --user` serves this account. */
export async function hasUserManager(
  env: Readonly<Record<string, string | undefined>>,
): Promise<boolean> {
  const runtimeDir = env["XDG_RUNTIME_DIR"];
  if (runtimeDir === undefined) return false;
  return (await statIfThere(`${runtimeDir}/systemd/private`))?.isSocket === true;
}

/** Options for {@linkcode openProgramLog}. */
interface ProgramLogOptions {
  readonly config: ValuesOf<typeof LOG.keys>;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly openJournal: Platform["openJournal"];
  /** Name in the journal. @default {program} */
  readonly identifier?: string;
}

/** Opens the log of `program` as configured. */
export function openProgramLog(program: string, options: ProgramLogOptions): Log {
  const { config, env, openJournal, identifier } = options;
  const isTerminal = Deno.stderr.isTerminal();
  const situation = { format: config.format, hasJournal: hasJournalSocket(), isTerminal, env };
  const format = chooseFormat(situation);
  const journal = format === "journal" ? openJournal() : undefined;
  return openLog({
    program,
    ...(identifier === undefined ? {} : { identifier }),
    level: config.level,
    format,
    colour: chooseColour(situation),
    stderr: openLineWriter({ write: (bytes) => Deno.stderr.write(bytes) }),
    ...(journal === undefined ? {} : {
      journal(fields) {
        // An entry that the journal does not take at once goes to stderr, which the manager reads.
        if (!journal.write(Object.fromEntries(fields))) throw new Error("The journal is busy");
      },
    }),
  });
}

function hasJournalSocket(): boolean {
  try {
    return Deno.statSync("/run/systemd/journal/socket").isSocket === true;
  } catch {
    // A socket that cannot be examined cannot be used, either.
    return false;
  }
}
