/**
 * The formula by which Homebrew installs a release.
 *
 * @module
 */
import { archiveName } from "../build/layout.ts";
import { DESCRIPTION } from "./package.ts";

/** Options for {@linkcode formulaText}. */
export interface FormulaOptions {
  readonly version: string;
  /** May contain `{version}`. */
  readonly baseUrl: string;
  /** SHA-256 of the archives, by target. */
  readonly archives: ReadonlyMap<string, string>;
}

const SYSTEMS = [["apple-darwin", "on_macos"], ["unknown-linux-gnu", "on_linux"]] as const;
const MACHINES = [["aarch64", "on_arm"], ["x86_64", "on_intel"]] as const;

/**
 * Fills in the template, `package/formula.rb`.
 *
 * @throws {TypeError} If a value cannot be in it.
 */
export function formulaText(template: string, options: FormulaOptions): string {
  const { version, baseUrl, archives } = options;
  const base = baseUrl.replaceAll("{version}", version).replace(/\/+$/, "");
  if (!/^https:\/\/[A-Za-z0-9:/._~+=-]+$/.test(base)) {
    throw new TypeError(`Cannot name "${baseUrl}" in a formula: it is no plain https:// address`);
  }
  const downloads = SYSTEMS.flatMap(([system, onSystem]) => {
    const blocks = MACHINES.flatMap(([machine, onMachine]) => {
      const target = `${machine}-${system}`;
      const sha256 = archives.get(target);
      if (sha256 === undefined) return [];
      const url = `url "${base}/${archiveName(target)}"`;
      return [block(onMachine, [url, `sha256 "${sha256}"`])];
    });
    return blocks.length === 0 ? [] : [block(onSystem, blocks.flat())];
  });
  const indented = downloads.map((lines) => lines.map((line) => `  ${line}\n`).join("")).join("\n");
  const isInAddress = base.includes(`/releases/download/v${version}`);
  const values = [
    // Homebrew reads it from the address where it can, and `brew audit` allows no second one.
    ["stated_version", isInAddress ? "" : `  version "${version}"\n`],
    ["version", version],
    ["summary", DESCRIPTION.summary],
    ["homepage", homepageOf(base)],
    ["downloads", indented],
  ] as const;
  return values.reduce(
    (text, [name, value]) => text.replaceAll(`@${name}@`, () => value),
    template,
  );
}

/** Returns the page of the repository that the files are of, or what stands before them. */
function homepageOf(base: string): string {
  return /^(.*)\/releases\/download\//.exec(base)?.[1] ?? `${new URL(base).origin}/`;
}

function block(name: string, lines: readonly string[]): readonly string[] {
  return [`${name} do`, ...lines.map((line) => `  ${line}`), "end"];
}
