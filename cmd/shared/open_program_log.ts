/**
 * The log of a program, joined from the logger and the journal.
 *
 * @module
 */
import { chooseColour, chooseFormat } from "@lib/foundations/log/choose_format.ts";
import { openLineWriter } from "@lib/foundations/log/line_writer.ts";
import { type Log, openLog } from "@lib/foundations/log/log.ts";
import type { ValuesOf } from "@lib/foundations/config/key.ts";
import type { LOG } from "@lib/foundations/config/program_keys.ts";
import type { JournalWriter } from "@lib/foundations/systemd/journal.ts";

/** Options for {@linkcode openProgramLog}. */
export interface ProgramLogOptions {
  readonly config: ValuesOf<typeof LOG.keys>;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly openJournal: () => JournalWriter;
}

/** Opens the log of `program` as configured. */
export function openProgramLog(program: string, options: ProgramLogOptions): Log {
  const { config, env, openJournal } = options;
  const isTerminal = Deno.stderr.isTerminal();
  const situation = { format: config.format, hasJournal: hasJournalSocket(), isTerminal, env };
  const format = chooseFormat(situation);
  const journal = format === "journal" ? openJournal() : undefined;
  return openLog({
    program,
    level: config.level,
    format,
    colour: chooseColour(situation),
    stderr: openLineWriter({ write: (bytes) => Deno.stderr.write(bytes) }),
    ...(journal === undefined ? {} : {
      journal(fields) {
        // What the journal does not take at once goes to stderr, which the manager reads.
        if (!journal.write(Object.fromEntries(fields))) throw new Error("The journal is busy");
      },
    }),
  });
}

function hasJournalSocket(): boolean {
  try {
    return Deno.statSync("/run/systemd/journal/socket").isSocket === true;
  } catch {
    // Whatever keeps us from looking keeps us from sending too.
    return false;
  }
}
