/**
 * The cache examples of the documentation.
 *
 * @module
 */
import * as v from "valibot";
import { parse } from "yaml";

/** The fields of an example that matter for its cache. */
const fields = v.object({
  caches: v.tuple([v.object({
    name: v.string(),
    paths: v.array(v.string()),
    key_files: v.optional(v.array(v.string()), []),
  })]),
  env: v.optional(v.record(v.string(), v.string()), {}),
  script: v.string(),
});

/** A fenced block of the documentation with a cache. */
export interface CacheExample extends v.InferOutput<typeof fields> {
  /** Such as `docs/artifacts.md:12`. */
  readonly place: string;
}

/** Returns the pages of the documentation, relative to the root of the repository. */
export function documentPages(root: string): readonly string[] {
  const pages = [...Deno.readDirSync(`${root}/docs`)].map(({ name }) => `docs/${name}`);
  return ["README.md", ...pages.filter((path) => path.endsWith(".md")).toSorted()];
}

/**
 * Returns the examples of a document: every fenced YAML block with `caches`.
 *
 * @throws {Error} If one cannot be run as it stands.
 */
export function cacheExamples(path: string, markdown: string): readonly CacheExample[] {
  const examples: CacheExample[] = [];
  for (const match of markdown.matchAll(/^```ya?ml\n([\s\S]*?)^```$/gm)) {
    const text = match[1] ?? "";
    if (!/^caches:/m.test(text)) continue;
    const line = markdown.slice(0, match.index).split("\n").length;
    const { success, output, issues } = v.safeParse(fields, parse(text));
    const place = `${path}:${line}`;
    if (!success) throw new Error(`${place} cannot be measured: ${v.summarize(issues)}`);
    examples.push({ ...output, place });
  }
  return examples;
}
