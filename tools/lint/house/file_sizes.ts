import type { ModuleGraph } from "./module_graph.ts";

/** The most lines that a product file may have. */
const MAX_LINES = 400;

/** Files with fewer lines are candidates for merging into their importer. */
const SMALL_LINES = 60;

/** A product file and its number of lines. */
export interface LongFile {
  readonly path: string;
  readonly lines: number;
}

/** A small file with a single importer, in the same directory. */
export interface SmallNeighbor extends LongFile {
  readonly importer: string;
}

/** Finds files of `lib/` and `cmd/` with more than 400 lines. */
export function findLongFiles(graph: ModuleGraph): readonly LongFile[] {
  return productFiles(graph).filter(({ lines }) => lines > MAX_LINES);
}

/** Finds files of under 60 lines whose only importer is in the same directory. */
export function findSmallNeighbors(graph: ModuleGraph): readonly SmallNeighbor[] {
  return productFiles(graph).filter(({ lines }) => lines < SMALL_LINES).flatMap((small) => {
    const importers = [...graph.values()]
      .filter(({ path, imports }) => imports.has(small.path) && !path.startsWith("tests/"));
    const [first, second] = importers;
    if (first === undefined || second !== undefined) return [];
    if (directoryOf(first.path) !== directoryOf(small.path)) return [];
    return [{ ...small, importer: first.path }];
  });
}

function productFiles(graph: ModuleGraph): LongFile[] {
  return [...graph.values()]
    .filter(({ path }) => /^(lib|cmd)\//.test(path))
    .map(({ path, text }) => ({ path, lines: text.replace(/\n$/, "").split("\n").length }));
}

function directoryOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/"));
}
