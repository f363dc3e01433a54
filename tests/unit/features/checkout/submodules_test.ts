import assert from "node:assert/strict";
import { parseGitmodules, resolveSubmoduleUrl } from "@lib/features/checkout/submodules.ts";
import { parseGitUrl } from "@lib/spine/spec/git_url.ts";

Deno.test("parseGitmodules() takes the path and the address of each submodule", () => {
  const text =
    "submodule.a.b.path\nvendor/a/\0submodule.a.b.url\n../a.git\0submodule.a.b.update\n!x\0" +
    "submodule.half.path\nhalf\0core.hookspath\nx\0submodule.c.path\nc\nd\0submodule.c.url\nu\0";
  assert.deepEqual(parseGitmodules(text), [
    { name: "a.b", path: "vendor/a", url: "../a.git" },
    { name: "c", path: "c\nd", url: "u" },
  ]);
  assert.deepEqual(parseGitmodules(""), []);
});

function resolve(parent: string, url: string): string {
  const parsed = parseGitUrl(parent);
  assert.equal(parsed.kind, "remote", parent);
  assert.ok(parsed.kind === "remote");
  const found = resolveSubmoduleUrl(parsed.remote, url);
  return found.kind === "remote" ? found.remote.url : `refused: ${found.message}`;
}

Deno.test("resolveSubmoduleUrl() reads relative addresses as git does", () => {
  const cases = [
    ["https://example.org/g/app.git", "../lib.git", "https://example.org/g/lib.git"],
    ["https://example.org/g/app.git/", "../lib.git", "https://example.org/g/lib.git"],
    ["https://example.org/g/app.git", "./lib.git", "https://example.org/g/app.git/lib.git"],
    ["https://example.org:8443/g/app", "../../o/lib", "https://example.org:8443/o/lib"],
    ["ssh://git@example.org/g/app", "../lib", "ssh://git@example.org/g/lib"],
    ["git@example.org:g/app.git", "../lib.git", "git@example.org:g/lib.git"],
    ["git@example.org:g/app.git", "../../lib.git", "git@example.org:lib.git"],
    ["https://example.org/app", "https://example.com/lib", "https://example.com/lib"],
  ] as const;
  for (const [parent, url, expected] of cases) assert.equal(resolve(parent, url), expected);
});

Deno.test("resolveSubmoduleUrl() leaves no way out of the server", () => {
  const parent = "https://example.org/g/app.git";
  assert.match(resolve(parent, "../../../x"), /^refused: leads above/);
  assert.match(resolve(parent, "../a/../../b"), /^refused/);
  assert.match(resolve("git@example.org:app", "../../x"), /^refused: leads above/);
  assert.match(resolve("git@example.org:g/app", "../../-x"), /^refused/);
  assert.match(resolve(parent, "ext::sh"), /^refused/);
  assert.match(resolve(parent, "../x\ny"), /^refused/);
});
