/**
 * The key tables of `docs/configuration.md`, generated from the tables of keys.
 *
 * @module
 */
import { catalogOf, type Section } from "@lib/foundations/config/config.ts";
import { envNameOf, type Key } from "@lib/foundations/config/key.ts";

const BEGIN = "<!-- The tables down to the end mark are generated from the tables of keys. -->";
const END = "<!-- End of the tables. -->";

/** Renders the tables, one per section, in Markdown. */
function configReference(sections: readonly Section[]): string {
  const { keys: allKeys, projectKeys } = catalogOf(sections);
  const tables = [...Map.groupBy(allKeys, ([name]) => sectionOf(name))].map(([section, keys]) => {
    const rows = keys.map(([name, key]) =>
      row([`\`${name}\`<br>\`${envNameOf(name)}\``, ...cellsOf(key)])
    );
    return [heading(section), ...head("key, variable"), ...rows].join("\n");
  });
  const projectRows = [...projectKeys].map(([name, key]) =>
    row([`\`projects.<name>.${name}\``, ...cellsOf(key)])
  );
  const projects = [heading("projects"), ...head("key"), ...projectRows].join("\n");
  return [...tables, projects].join("\n\n");
}

/**
 * Puts the current tables into the text of the document.
 *
 * @throws {SyntaxError} If the marks are missing.
 */
export function withReference(document: string, sections: readonly Section[]): string {
  const begin = document.indexOf(BEGIN);
  const end = document.indexOf(END);
  if (begin < 0 || end < begin) {
    throw new SyntaxError("Cannot find the marks around the tables in the document");
  }
  const tables = configReference(sections);
  return `${document.slice(0, begin)}${BEGIN}\n\n${tables}\n\n${document.slice(end)}`;
}

function sectionOf(name: string): string {
  return name.includes(".") ? name.slice(0, name.indexOf(".")) : "";
}

function heading(section: string): string {
  return section === "" ? "### The programs\n" : `### \`${section}\`\n`;
}

function head(first: string): readonly string[] {
  return [row([first, "values", "default", "meaning"]), row(["---", "---", "---", "---"])];
}

function cellsOf(key: Key<unknown>): readonly string[] {
  return [key.summary.replaceAll("|", "\\|"), fallbackOf(key), key.doc];
}

function fallbackOf({ fallback, text }: Key<unknown>): string {
  if (text !== undefined) return text;
  if (fallback === undefined) return "none";
  if (Array.isArray(fallback)) return `\`[${fallback.join(", ")}]\``;
  return `\`${typeof fallback === "string" ? fallback : JSON.stringify(fallback)}\``;
}

function row(cells: readonly string[]): string {
  return `| ${cells.join(" | ")} |`;
}
