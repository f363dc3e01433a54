/**
 * The manual page, made from the grammar of the commands.
 *
 * @module
 */
import { formatDocPage } from "@optique/core/doc";
import { getDocPageAsync, type Mode, type Parser } from "@optique/core/parser";
import type { Command } from "@lib/api/client/command.ts";

/** Returns the page `cicd-runner.1` in the language of man(7). */
export async function renderManual(
  grammar: Parser<Mode, unknown, unknown>,
  { commands, version }: { readonly commands: readonly Command[]; readonly version: string },
): Promise<string> {
  const sections = await Promise.all(commands.map(async ({ name }) => {
    const page = await getDocPageAsync(grammar, [name]);
    if (page === undefined) return [];
    // Without the usage, which repeats all flags.
    const { usage: _usage, ...texts } = page;
    const help = formatDocPage("cicd-runner", texts, { colors: false, maxWidth: 78 });
    return [`.SS ${name}`, ...literal(help)];
  }));
  return [
    `.TH CICD-RUNNER 1 "" "cicd-toolkit ${version}"`,
    ".SH NAME",
    "cicd\\-runner \\- run jobs on this machine, each within its own limits",
    ".SH SYNOPSIS",
    ".B cicd\\-runner",
    "COMMAND [FLAG...] [ARGUMENT...]",
    ".SH COMMANDS",
    ...sections.flat(),
    "",
  ].join("\n");
}

/** Returns lines that are printed as they are. */
function literal(text: string): readonly string[] {
  const lines = text.trim().split("\n").map((line) =>
    // A dot or quote at the start of a line would be a request.
    line.replaceAll("\\", "\\e").replaceAll("-", "\\-").replace(/^(?=[.'])/, "\\&")
  );
  return [".nf", ...lines, ".fi"];
}
