import assert from "node:assert/strict";
import * as fc from "fast-check";
import picomatch from "picomatch";
import { compileGlobs, globProblem } from "@lib/foundations/files/glob.ts";

/** Checks that the globs match a file, or a directory above it. */
function takes(patterns: readonly string[], path: string): boolean {
  const globs = compileGlobs(patterns);
  let state = globs.root;
  for (const name of path.split("/")) {
    if (!state.mayGoOn) return false;
    state = globs.enter(state, name);
  }
  return state.takenBy.size > 0 && !state.isExcluded;
}

const CASES: readonly (readonly [pattern: string, path: string, taken: boolean])[] = [
  ["report.xml", "report.xml", true],
  ["report.xml", "a/report.xml", false],
  ["./report.xml", "report.xml", true],
  ["*.xml", "report.xml", true],
  ["*.xml", ".report.xml", false],
  [".*.xml", ".report.xml", true],
  ["a?c", "abc", true],
  ["a?c", "aüc", true],
  ["a?c", "ac", false],
  ["[a-c]x", "bx", true],
  ["[!a-c]x", "bx", false],
  ["[]x]", "]", true],
  ["a[", "a[", true],
  ["a\\*", "a*", true],
  ["a\\*", "ab", false],
  ["**/*.js", "a.js", true],
  ["**/*.js", "a/b/c.js", true],
  ["**/*.js", "a/.b/c.js", false],
  ["**/.b/*.js", "a/.b/c.js", true],
  ["a/**/z", "a/z", true],
  ["a/**/z", "a/b/c/z", true],
  ["a/**/z", "b/z", false],
  ["dist", "dist/a/.hidden", true],
  ["dist/", "dist/a", true],
  ["dist/**", "dist/.hidden", true],
  ["**", "a/.b", true],
  ["**", ".git/config", false],
  ["{a,b}/*.{c,d}", "b/x.c", true],
  ["{a,b}/*.{c,d}", "b/x.e", false],
  ["a{b,{c,d}}e", "ade", true],
  ["a{b}", "a{b}", true],
  ["a{b", "a{b", true],
  ["app/(group)/+page", "app/(group)/+page", true],
];

for (const [pattern, path, taken] of CASES) {
  Deno.test(`compileGlobs() ${taken ? "takes" : "leaves"} ${path} with ${pattern}`, () => {
    assert.equal(takes([pattern], path), taken);
  });
}

Deno.test("compileGlobs() takes away what a pattern with ! matches, whatever the order", () => {
  for (const patterns of [["dist", "!**/*.map"], ["!**/*.map", "dist"]]) {
    assert.equal(takes(patterns, "dist/a.js"), true);
    assert.equal(takes(patterns, "dist/x/a.js.map"), false);
    assert.equal(takes(patterns, "dist/.x/a.js.map"), false);
  }
  assert.equal(takes(["**/*", "!node_modules"], "node_modules/a"), false);
});

Deno.test("compileGlobs() goes only into directories in which something may be taken", () => {
  const globs = compileGlobs(["build/out/*.txt", "*.log"]);
  assert.equal(globs.enter(globs.root, "build").mayGoOn, true);
  assert.equal(globs.enter(globs.root, "node_modules").mayGoOn, false);
  const out = globs.enter(globs.enter(globs.root, "build"), "out");
  assert.equal(globs.enter(out, "deeper").mayGoOn, false);
});

Deno.test("compileGlobs() reports which patterns match a path", () => {
  const globs = compileGlobs(["a*", "!x", "*b", "c"]);
  assert.deepEqual(globs.patterns, ["a*", "*b", "c"]);
  assert.deepEqual([...globs.enter(globs.root, "ab").takenBy], [0, 1]);
});

Deno.test("compileGlobs() agrees with picomatch on plain patterns", () => {
  const name = fc.string({ unit: fc.constantFrom("a", "b", ".", "c"), minLength: 1, maxLength: 4 })
    .filter((text) => text !== "." && text !== "..");
  const segment = fc.oneof(
    fc.constant("**"),
    fc.string({ unit: fc.constantFrom("a", "b", "*", "?", "c"), minLength: 1, maxLength: 4 })
      .filter((text) => !text.includes("**")),
  );
  fc.assert(
    fc.property(
      fc.array(segment, { minLength: 1, maxLength: 4 }).filter((parts) => parts.at(-1) !== "**"),
      fc.array(name, { minLength: 1, maxLength: 4 }),
      (parts, names) => {
        const pattern = parts.join("/");
        const isMatch = picomatch(pattern, { noextglob: true });
        // A directory that is matched stands for what is in it.
        const expected = names.some((_, index) => isMatch(names.slice(0, index + 1).join("/")));
        assert.equal(takes([pattern], names.join("/")), expected, pattern);
      },
    ),
    { numRuns: 2_000 },
  );
});

Deno.test("compileGlobs() does not stumble over a name made against it", () => {
  assert.equal(takes([`${"*a".repeat(60)}*b`], "a".repeat(255)), false);
  assert.equal(takes([`${"**/a/".repeat(60)}b`], Array(100).fill("a").join("/")), false);
});

Deno.test("globProblem() names what cannot be a glob below the workspace", () => {
  assert.match(globProblem("") ?? "", /empty/);
  assert.match(globProblem("!") ?? "", /empty/);
  assert.match(globProblem("/etc/passwd") ?? "", /absolute/);
  assert.match(globProblem("{/etc,a}") ?? "", /absolute/);
  assert.match(globProblem("a/../b") ?? "", /\.\./);
  assert.match(globProblem("a/{b,..}/c") ?? "", /\.\./);
  assert.match(globProblem("a\0b") ?? "", /control/);
  assert.match(globProblem("{a,b}".repeat(10)) ?? "", /alternatives/);
  assert.equal(globProblem("!dist/**/*.{map,ts}"), undefined);
});
