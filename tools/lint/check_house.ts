/**
 * The house check: import circles, dead exports, long files, and wording.
 *
 * Usage: `check_house.ts [--verbose] [--strict-english]`; exits with 1 if it finds a fault. Words to
 * replace are counted, and are faults with `--strict-english`. `--verbose` lists them, and small
 * files whose only importer is in the same directory.
 *
 * @module
 */
import process from "node:process";
import { checkHouse } from "./house/check_house.ts";

/** The checked files: code for imports, everything for wording. */
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

/** Returns the paths of the files below a path, in order, or the file itself. */
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
