import { EXPORTED_FOR_TESTS } from "./exceptions.ts";
import { findDeadExports } from "./dead_exports.ts";
import { findLongFiles, findSmallNeighbors } from "./file_sizes.ts";
import { findCircles } from "./import_circles.ts";
import { buildModuleGraph } from "./module_graph.ts";
import { findWording } from "./plain_english.ts";

/** The findings of {@linkcode checkHouse}, one line of text each. */
export interface HouseReport {
  /** Findings that fail the check. */
  readonly faults: readonly string[];
  /** Words and openings to replace. */
  readonly wording: readonly string[];
  /** Small files that could be merged into their importer. */
  readonly hints: readonly string[];
}

/** Options for {@linkcode checkHouse}. */
export interface HouseOptions {
  /** Allowed exports that only tests import: name and reason, by file. */
  readonly forTests?: Readonly<Record<string, Readonly<Record<string, string>>>>;
}

/** Checks a project's files; `texts` maps paths below the project's directory to contents. */
export function checkHouse(
  texts: ReadonlyMap<string, string>,
  { forTests = EXPORTED_FOR_TESTS }: HouseOptions = {},
): HouseReport {
  const code = new Map([...texts].filter(([path]) => path.endsWith(".ts")));
  const graph = buildModuleGraph(code);
  const dead = findDeadExports(graph);
  const isDead = ({ path, name, testsOnly }: typeof dead[number]) =>
    !(testsOnly && forTests[path]?.[name] !== undefined);
  const stale = Object.entries(forTests).flatMap(([path, names]) =>
    Object.keys(names)
      .filter((name) => !dead.some((it) => it.path === path && it.name === name && it.testsOnly))
      .map((name) => `${path}: "${name}" needs no exception in tools/lint/house/exceptions.ts`)
  );
  return {
    faults: [
      ...findCircles(graph)
        .map((way) => `import circle: ${way.join(" -> ")}`),
      ...dead.filter(isDead).map(({ path, line, name, testsOnly }) =>
        testsOnly
          ? `${path}:${line}: only tests import "${name}"; test it through what the product uses, ` +
            `or add a reason to tools/lint/house/exceptions.ts`
          : `${path}:${line}: no other file imports "${name}"`
      ),
      ...stale,
      ...findLongFiles(graph)
        .map(({ path, lines }) => `${path}: ${lines} lines, more than 400; split it`),
    ],
    wording: [...texts]
      .filter(([path]) => !/^(tests|bench)\/|^tools\/lint\/house\//.test(path))
      .flatMap(([path, text]) =>
        findWording(path, text).map(({ line, text: word, advice }) =>
          `${path}:${line}: "${word}": ${advice}`
        )
      ),
    hints: findSmallNeighbors(graph).map(({ path, lines, importer }) =>
      `${path}: ${lines} lines, imported only by ${importer}`
    ),
  };
}
