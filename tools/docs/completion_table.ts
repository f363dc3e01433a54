/**
 * The table that answers most shell completions, generated from the grammar.
 *
 * @module
 */
import type { Completer } from "@lib/foundations/cli/grammar_values.ts";
import { completeWords, loadCommands } from "../../cmd/runner/commands/cli.ts";

/** Stands for what the runner knows. */
const COMPLETER: Completer = {
  jobIds: () => Promise.resolve([{ value: "@jobs", description: "" }]),
  projects: () => Promise.resolve([{ value: "@projects", description: "" }]),
};

/** Returns the module of the table. */
export async function completionTable(): Promise<string> {
  const commands = await loadCommands();
  const linesAt = async (...words: readonly string[]) => {
    const text = await completeWords(["fish", ...words], { commands, completer: COMPLETER });
    return text.split("\n").filter((line) => line !== "");
  };
  const everywhere = [...await linesAt("version", "-"), ...await linesAt("version", "--")];
  const sections = new Map([["*", everywhere]]);
  const add = async (title: string, words: readonly string[]) => {
    const lines = new Set<string>();
    for (const prefix of ["", "-", "--"]) {
      for (const line of await linesAt(...words, prefix)) lines.add(line);
    }
    // Files are the shell's to find.
    if ([...lines].some((line) => line.startsWith("__FILE__"))) return;
    sections.set(title, [...lines].filter((line) => !everywhere.includes(line)));
  };
  await add("", []);
  for (const { name } of commands) {
    await add(name, [name]);
    for (const flag of ["-p", "--project"]) {
      const values = await linesAt(name, flag, "");
      if (values.join() === "@projects\t") sections.set(`${name} ${flag}`, values);
    }
  }
  const text = [...sections].map(([title, lines]) => [`# ${title}`, ...lines].join("\n"));
  return `/**
 * Candidates for shell completion at the usual places: each title is a place, and a description
 * follows a tab.
 *
 * Generated from the grammar by \`deno task docs\`.
 *
 * @module
 */
export const COMPLETION_TABLE = \`

${text.join("\n\n").replace(/[\\`$]/g, "\\$&")}

\`;
`;
}
