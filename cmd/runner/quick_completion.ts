/**
 * Shell completion of the usual places, without loading the grammar: the name of a command, what
 * may come first after it, and the project of its `-p`.
 *
 * @module
 */
import type { Completer } from "@lib/foundations/cli/grammar_values.ts";
import { COMPLETION_TABLE } from "./completion_table.ts";

type Candidate = readonly [text: string, description: string];

/** Writes candidates as the scripts of the grammar's library read them. */
const WRITERS = new Map<string, (candidates: readonly Candidate[]) => string>([
  ["bash", (candidates) => spaced(candidates.map(([text]) => text))],
  ["fish", (candidates) => spaced(candidates.map((candidate) => candidate.join("\t")))],
  ["zsh", (candidates) => candidates.map(([text, about]) => `${text}\0${about}\0\n`).join("")],
]);

/**
 * Returns what the shell is told.
 *
 * @param words The name of the shell, then the words of the command line up to the cursor.
 * @param completer Makes what asks the runner; `undefined` if only the grammar knows where it is.
 * @returns `undefined` if the grammar must answer.
 */
export async function quickCompletion(
  words: readonly string[],
  completer: () => Completer | undefined,
): Promise<string | undefined> {
  const write = WRITERS.get(words[0] ?? "");
  const line = words.slice(1, -1);
  const prefix = words.length < 2 ? undefined : words.at(-1);
  if (write === undefined || prefix === undefined || line.some((word) => /\s/.test(word))) return;
  const lines = section(line.join(" "));
  const selected = lines && (line.length > 1 ? valuesFor(prefix, lines) : wordsFor(prefix, lines));
  if (selected === undefined) return;
  const found: Candidate[] = [];
  for (const [text, about] of selected) {
    const ask = QUESTIONS.get(text);
    if (ask === undefined) {
      found.push([text, about]);
      continue;
    }
    const from = completer();
    if (from === undefined) return;
    for (const { value, description } of await from[ask]()) found.push([value, description]);
  }
  const wanted = found.filter(([text]) => text.startsWith(prefix));
  return wanted.some(([text]) => !/^[\w.~-]+$/.test(text)) ? undefined : write(wanted);
}

/** Lines of the table that stand for what the runner knows. */
const QUESTIONS = new Map<string, keyof Completer>([["@jobs", "jobIds"], [
  "@projects",
  "projects",
]]);

function valuesFor(prefix: string, lines: readonly Candidate[]): readonly Candidate[] | undefined {
  return prefix.startsWith("-") ? undefined : lines;
}

function wordsFor(prefix: string, lines: readonly Candidate[]): readonly Candidate[] | undefined {
  const everywhere = section("*") ?? [];
  const help = everywhere.filter(([text]) => text === "-h" || text === "--help");
  if (prefix.startsWith("--")) return [...lines, ...everywhere].filter(([text]) => text !== "-h");
  if (prefix === "-") return [...lines, ...everywhere].filter(([text]) => !text.startsWith("--"));
  if (prefix.startsWith("-")) return undefined;
  return [...lines.filter(([text]) => !text.startsWith("-")), ...help];
}

/** Returns the lines of the table below a title. */
function section(title: string): readonly Candidate[] | undefined {
  const begin = COMPLETION_TABLE.indexOf(`\n\n# ${title}\n`);
  if (begin < 0) return undefined;
  const [, ...lines] = COMPLETION_TABLE.slice(begin + 2).split("\n\n", 1)[0]?.split("\n") ?? [];
  return lines.map((line) => {
    const [text = "", about = ""] = line.split("\t");
    return [text, about];
  });
}

function spaced(texts: readonly string[]): string {
  return texts.length === 0 ? "" : `${texts.join("\n\n\n")}\n`;
}
