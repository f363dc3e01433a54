/**
 * Which format is written where.
 *
 * @module
 */

/** A format that is written. */
export type WrittenFormat = "text" | "json" | "journal" | "prefixed";

/** What the choice depends on. */
export interface FormatSituation {
  /** As configured. */
  readonly format: "auto" | "journal" | "text" | "json";
  /** Whether native fields can be sent to the journal. */
  readonly hasJournal: boolean;
  readonly isTerminal: boolean;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** Chooses the format; without the journal's socket, its text gets `<N>` priorities instead. */
export function chooseFormat(situation: FormatSituation): WrittenFormat {
  const { format, hasJournal, isTerminal, env } = situation;
  switch (format) {
    case "text":
    case "json":
      return format;
    case "journal":
      return hasJournal ? "journal" : "prefixed";
    case "auto": {
      // Set by the service manager when stderr leads to the journal.
      const underJournal = !isTerminal && (env["JOURNAL_STREAM"] ?? "") !== "";
      if (!underJournal) return "text";
      return hasJournal ? "journal" : "prefixed";
    }
  }
}

/** Whether text is coloured: `FORCE_COLOR`, then `NO_COLOR`, then the terminal decides. */
export function chooseColour(
  { isTerminal, env }: Pick<FormatSituation, "isTerminal" | "env">,
): boolean {
  const force = env["FORCE_COLOR"];
  if (force !== undefined && force !== "") return force !== "0" && force !== "false";
  if ((env["NO_COLOR"] ?? "") !== "") return false;
  return isTerminal && env["TERM"] !== "dumb";
}
