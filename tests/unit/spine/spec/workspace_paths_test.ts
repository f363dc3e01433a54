import assert from "node:assert/strict";
import { artifactIssues, cacheIssues, fileIssues } from "@lib/spine/spec/workspace_paths.ts";

const base64 = (text: string) => btoa(text);
const file = (path: string, content = base64("x")) => ({ path, content, executable: false });
const cache = (changes = {}) => ({
  name: "npm",
  paths: ["node_modules"],
  keyFiles: [],
  ...changes,
});
const pathsOf = (issues: readonly { path: string }[]) => issues.map(({ path }) => path);

Deno.test("artifactIssues() finds nothing wrong with globs below the workspace", () => {
  const paths = ["dist/**/*.{js,css}", "!**/*.map", "report.xml"];
  assert.deepEqual(artifactIssues({ paths, when: "always" }), []);
});

Deno.test("artifactIssues() names the glob that leaves the workspace", () => {
  for (const glob of ["/etc/passwd", "../x", "a/../../x", "a\0b", "!", "a/{b,../..}/c"]) {
    const issues = artifactIssues({ paths: ["ok", glob], when: "success" });
    assert.deepEqual(pathsOf(issues), ["artifacts.paths.1"], glob);
  }
});

Deno.test("artifactIssues() refuses globs that only take away", () => {
  assert.deepEqual(pathsOf(artifactIssues({ paths: ["!a"], when: "success" })), [
    "artifacts.paths",
  ]);
});

Deno.test("cacheIssues() finds nothing wrong with directories below the workspace", () => {
  const caches = [cache({ keyFiles: ["**/package-lock.json"] }), cache({ name: "Go.mod-1" })];
  assert.deepEqual(cacheIssues(caches), []);
});

Deno.test("cacheIssues() rejects invalid directory names and duplicates", () => {
  for (const name of ["", "..", ".x", "a/b", "a b", "ü", "a".repeat(65)]) {
    assert.deepEqual(pathsOf(cacheIssues([cache({ name })])), ["caches.0.name"], name);
  }
  assert.deepEqual(pathsOf(cacheIssues([cache(), cache()])), ["caches.1.name"]);
});

Deno.test("cacheIssues() refuses paths outside, globs, and what belongs to git", () => {
  for (const path of ["/root", "../x", "a/./b", "a//b", "*", ".git", "sub/.GIT/hooks", "a\nb"]) {
    assert.deepEqual(pathsOf(cacheIssues([cache({ paths: [path] })])), ["caches.0.paths.0"], path);
  }
  assert.deepEqual(pathsOf(cacheIssues([cache({ paths: ["a/b", "a"] })])), ["caches.0.paths.0"]);
  assert.deepEqual(pathsOf(cacheIssues([cache({ paths: ["a", "a/"] })])), ["caches.0.paths.1"]);
  assert.deepEqual(pathsOf(cacheIssues([cache({ keyFiles: ["../x"] })])), [
    "caches.0.key_files.0",
  ]);
});

Deno.test("fileIssues() finds nothing wrong with files and directories below the workspace", () => {
  const files = [file("a"), file("b/c.txt", base64("")), file("empty/", ""), file("empty/x")];
  assert.deepEqual(fileIssues(files), []);
});

Deno.test("fileIssues() refuses paths outside and what decides what git runs", () => {
  for (const path of ["", "/x", "../x", "a/../../x", ".git/hooks/pre-push", "s/.Git/config"]) {
    assert.deepEqual(pathsOf(fileIssues([file(path)])), [`files.${path}`], path);
  }
});

Deno.test("fileIssues() rejects invalid Base64, a directory with content, and a file as a directory", () => {
  assert.deepEqual(pathsOf(fileIssues([file("a", "no base64")])), ["files.a"]);
  assert.deepEqual(pathsOf(fileIssues([file("a", "abc")])), ["files.a"]);
  assert.deepEqual(pathsOf(fileIssues([file("a/")])), ["files.a/"]);
  assert.deepEqual(pathsOf(fileIssues([file("a"), file("a/b")])), ["files.a/b"]);
});

Deno.test("fileIssues() refuses too many bytes", () => {
  const large = "A".repeat(6 * 1024 ** 2);
  assert.deepEqual(pathsOf(fileIssues([file("a", large), file("b", large)])), ["files"]);
});
