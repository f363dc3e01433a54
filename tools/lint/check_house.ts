/**
 * Checks the order of the house: no import circles, no dead exports, no file too long to read, and
 * the words that we use.
 *
 * Usage: `check_house.ts [--verbose] [--strict-english]`; exits with 1 if it finds a fault. The
 * words are counted, and are faults with `--strict-english`. `--verbose` lists them, and the small
 * files that only one neighbor imports.
 *
 * @module
 */
import process from "node:process";
import { checkHouse } from "./house/check_house.ts";

/** Everything that is read: code for its imports, the rest for its words. */
const ROOTS = [
  "lib",
  "cmd",
  "tools",
  "bench",
  "tests",
  "docs",
  "units",
  "README.md",
  "install.sh",
] as const;

/** Paths of the files below a path, in order; a file stands for itself. */
function filesBelow(project: string, path: string): string[] {
  if (!Deno.statSync(`${project}/${path}`).isDirectory) return [path];
  return [...Deno.readDirSync(`${project}/${path}`)]
    .filter(({ name }) => name !== "node_modules" && !name.startsWith("."))
    .sort((a, b) => a.name < b.name ? -1 : 1)
    .flatMap(({ name }) => filesBelow(project, `${path}/${name}`));
}

function main(args: readonly string[]): number {
  const unknown = args.find((arg) => arg !== "--verbose" && arg !== "--strict-english");
  if (unknown !== undefined) {
    console.error(`unknown option "${unknown}"`);
    return 64;
  }
  const project = new URL("../..", import.meta.url).pathname.replace(/\/$/, "");
  const paths = ROOTS.flatMap((root) => filesBelow(project, root))
    .filter((path) => !/\.(svg|png)$/.test(path));
  const texts = new Map(paths.map((path) => [path, Deno.readTextFileSync(`${project}/${path}`)]));
  const { faults, wording, hints } = checkHouse(texts);
  const isStrict = args.includes("--strict-english");
  const isVerbose = args.includes("--verbose");
  for (const line of faults) console.error(line);
  for (const line of isStrict || isVerbose ? wording : []) console.error(line);
  for (const line of isVerbose ? hints : []) console.error(`small: ${line}`);
  console.error(
    `Checked ${texts.size} files: ${faults.length} faults, ${wording.length} words to replace, ` +
      `${hints.length} small files with one importer next door`,
  );
  return faults.length === 0 && !(isStrict && wording.length > 0) ? 0 : 1;
}

if (import.meta.main) process.exitCode = main(Deno.args);
