import type { ModuleGraph } from "./module_graph.ts";

/**
 * Finds import circles: groups of files in which each file reaches every other.
 *
 * @returns A shortest path around each group, with the first file repeated at the end.
 */
export function findCircles(graph: ModuleGraph): readonly (readonly string[])[] {
  return groupsOf(graph).map((group) => shortestWayAround(graph, group));
}

/** Returns the strongly connected groups of files (Tarjan's algorithm) that contain a circle. */
function groupsOf(graph: ModuleGraph): ReadonlySet<string>[] {
  const index = new Map<string, number>();
  const low = new Map<string, number>();
  const stack: string[] = [];
  const groups: ReadonlySet<string>[] = [];
  const visit = (path: string): number => {
    const number = index.size;
    index.set(path, number);
    let lowest = number;
    stack.push(path);
    for (const next of graph.get(path)?.imports ?? []) {
      if (!graph.has(next)) continue;
      if (!index.has(next)) lowest = Math.min(lowest, visit(next));
      else if (stack.includes(next)) lowest = Math.min(lowest, index.get(next) ?? number);
    }
    low.set(path, lowest);
    if (lowest === number) {
      const group = new Set(stack.splice(stack.indexOf(path)));
      if (group.size > 1 || graph.get(path)?.imports.has(path)) groups.push(group);
    }
    return lowest;
  };
  for (const path of graph.keys()) if (!index.has(path)) visit(path);
  return groups;
}

function shortestWayAround(graph: ModuleGraph, group: ReadonlySet<string>): readonly string[] {
  const ways = [...group].sort().map((start) => wayBack(graph, group, start));
  return ways.reduce((best, way) => way.length < best.length ? way : best);
}

/** Searches breadth-first from a file back to itself. */
function wayBack(graph: ModuleGraph, group: ReadonlySet<string>, start: string): readonly string[] {
  const seen = new Set<string>();
  let ways: readonly (readonly string[])[] = [[start]];
  while (ways.length > 0) {
    const longer: string[][] = [];
    for (const way of ways) {
      for (const next of graph.get(way.at(-1) ?? "")?.imports ?? []) {
        if (next === start) return [...way, next];
        if (!group.has(next) || seen.has(next)) continue;
        seen.add(next);
        longer.push([...way, next]);
      }
    }
    ways = longer;
  }
  throw new RangeError(`Cannot find an import circle through "${start}": it is in none`);
}
