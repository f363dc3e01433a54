/**
 * The choice of a log format.
 *
 * @module
 */

/** A format that is written. */
export type WrittenFormat = "text" | "json" | "journal" | "prefixed";

/** The conditions of the choice. */
export interface FormatSituation {
  /** As configured. */
  readonly format: "auto" | "journal" | "text" | "json";
  /** The journal accepts native fields. */
  readonly hasJournal: boolean;
  readonly isTerminal: boolean;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** Chooses the format; without the journal's socket, text gets `<N>` priorities instead. */
export function chooseFormat(situation: FormatSituation): WrittenFormat {
  const { format, hasJournal, isTerminal, env } = situation;
  switch (format) {
    case "text":
    case "json":
      return format;
    case "journal":
      return hasJournal ? "journal" : "prefixed";
    case "auto": {
      // The service manager sets it when stderr leads to the journal.
      const underJournal = !isTerminal && (env["JOURNAL_STREAM"] ?? "") !== "";
      if (!underJournal) return "text";
      return hasJournal ? "journal" : "prefixed";
    }
  }
}

/** Decides if text is coloured, by `FORCE_COLOR`, then `NO_COLOR`, then the terminal. */
export function chooseColour(
  { isTerminal, env }: Pick<FormatSituation, "isTerminal" | "env">,
): boolean {
  const force = env["FORCE_COLOR"];
  if (force !== undefined && force !== "") return force !== "0" && force !== "false";
  if ((env["NO_COLOR"] ?? "") !== "") return false;
  return isTerminal && env["TERM"] !== "dumb";
}
