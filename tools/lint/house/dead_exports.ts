import { EVERYTHING, type ModuleGraph } from "./module_graph.ts";

/** An export that nothing in the product uses. */
export interface DeadExport {
  readonly path: string;
  readonly line: number;
  readonly name: string;
  /** Only tests import it. */
  readonly testsOnly: boolean;
}

/**
 * Finds exports of `lib/` and `cmd/` that no other file outside `tests/` imports.
 *
 * A re-exported name is alive if someone imports it from the other file. A type is alive with the
 * exports whose signatures name it: a caller of `run(options: RunOptions)` needs `RunOptions` without
 * importing it.
 */
export function findDeadExports(graph: ModuleGraph): readonly DeadExport[] {
  const forProduct = usedBy(graph, (path) => !path.startsWith("tests/"));
  const forTests = usedBy(graph, (path) => path.startsWith("tests/"));
  return [...graph.values()]
    .filter(({ path }) => /^(lib|cmd)\/.*(?<!\.d)\.ts$/.test(path))
    .flatMap(({ path, exports }) =>
      exports
        .filter(({ name }) => !forProduct.has(keyOf(path, name)))
        .map(({ name, line }) => ({
          path,
          line,
          name,
          testsOnly: forTests.has(keyOf(path, name)),
        }))
    );
}

/** Returns the keys of the exports that some of the files use, through any number of re-exports. */
function usedBy(graph: ModuleGraph, isUser: (path: string) => boolean): ReadonlySet<string> {
  const used = new Set<string>();
  const mark = (path: string, name: string): void => {
    const file = graph.get(path);
    if (file === undefined || used.has(keyOf(path, name))) return;
    used.add(keyOf(path, name));
    for (const { name: exported, from, signature } of file.exports) {
      if (name !== EVERYTHING && name !== exported) continue;
      used.add(keyOf(path, exported));
      if (from !== undefined) mark(from.path, from.name);
      for (const type of file.exports) {
        if (type.isType && signature.has(type.name)) mark(path, type.name);
      }
    }
    for (const next of file.starFrom) mark(next, name);
  };
  for (const { path: user, uses } of graph.values()) {
    if (!isUser(user)) continue;
    for (const { path, name } of uses) if (path !== user) mark(path, name);
  }
  return used;
}

function keyOf(path: string, name: string): string {
  return `${path} ${name}`;
}
