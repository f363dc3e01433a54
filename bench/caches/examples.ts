/**
 * The cache examples of the documentation, and a small project for each.
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

/** A project on which the examples with a cache of its name are measured. */
export interface CacheProject {
  readonly name: string;
  readonly files: Readonly<Record<string, string>>;
  /** Makes the lock file, unless it is among the files. */
  readonly lock?: readonly [program: string, ...args: string[]];
}

const CARGO = `[package]
name = "sample"
version = "0.1.0"
edition = "2021"

[dependencies]
regex = "=1.11.1"
serde_json = "=1.0.138"
`;

const GO = `package main

import (
	"net/http"

	"github.com/spf13/cobra"
	"gopkg.in/yaml.v3"
)

func main() {
	command := &cobra.Command{Use: "sample"}
	out, _ := yaml.Marshal(map[string]string{"name": command.Use})
	_, _ = http.NewRequest("GET", string(out), nil)
}
`;

/** The projects by the name of the cache in the examples. */
export const CACHE_PROJECTS: readonly CacheProject[] = [
  {
    name: "npm",
    files: {
      "package.json": JSON.stringify({
        name: "sample",
        version: "1.0.0",
        private: true,
        scripts: { test: "node -e \"require('typescript')\"" },
        dependencies: { eslint: "9.20.0", prettier: "3.5.0", typescript: "5.7.3" },
      }),
    },
    lock: ["npm", "install", "--package-lock-only", "--silent"],
  },
  {
    name: "cargo",
    files: {
      "Cargo.toml": CARGO,
      "src/main.rs": 'fn main() {\n    println!("{}", regex::escape("."));\n}\n',
    },
    lock: ["cargo", "generate-lockfile", "--quiet"],
  },
  {
    name: "go",
    files: {
      "go.mod": "module example.org/sample\n\ngo 1.22\n\nrequire (\n" +
        "\tgithub.com/spf13/cobra v1.8.1\n\tgopkg.in/yaml.v3 v3.0.1\n)\n",
      "main.go": GO,
    },
    lock: ["go", "mod", "tidy", "-e"],
  },
  {
    name: "pip",
    files: { "requirements.txt": "pytest==8.3.4\nrequests==2.32.3\npyyaml==6.0.2\n" },
  },
];
