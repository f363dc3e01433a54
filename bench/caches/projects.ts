/**
 * The projects on which the cache examples are measured: `projects/`, with their lock files.
 *
 * @module
 */
import { fromFileUrl } from "@lib/core/file_url.ts";

/** A project of a cache. */
export interface CacheProject {
  /** The name of the cache in the examples, and of the directory. */
  readonly name: string;
  /** The file that a round changes, as a developer's next commit would: the number in it. */
  readonly edited: string;
}

/** The projects by the name of the cache in the examples. */
export const CACHE_PROJECTS: readonly CacheProject[] = [
  { name: "cargo", edited: "src/edition.rs" },
  { name: "go", edited: "report/edition.go" },
  { name: "npm", edited: "src/edition.mts" },
  { name: "pip", edited: "sample/edition.py" },
  { name: "c", edited: "src/edition.c" },
];

/** Returns the files of a project, by path. */
export async function projectFiles({ name }: CacheProject): Promise<Record<string, string>> {
  const top = fromFileUrl(new URL(`projects/${name}`, import.meta.url).href);
  const files: Record<string, string> = {};
  const waiting = [""];
  for (let directory = waiting.pop(); directory !== undefined; directory = waiting.pop()) {
    for await (const entry of Deno.readDir(`${top}/${directory}`)) {
      const path = `${directory}${entry.name}`;
      if (entry.isDirectory) waiting.push(`${path}/`);
      else files[path] = await Deno.readTextFile(`${top}/${path}`);
    }
  }
  return files;
}

/** Returns the files with the change of a round. */
export function edited(
  files: Readonly<Record<string, string>>,
  { edited: path }: CacheProject,
  round: number,
): Readonly<Record<string, string>> {
  const before = files[path] ?? "";
  const after = before.replace(/= \d+/, `= ${round}`);
  if (round > 0 && after === before) throw new Error(`Nothing to change in "${path}"`);
  return { ...files, [path]: after };
}
