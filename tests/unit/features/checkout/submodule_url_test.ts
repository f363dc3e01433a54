import assert from "node:assert/strict";
import { parseGitUrl } from "@lib/spine/spec/git_url.ts";
import { resolveSubmoduleUrl } from "@lib/features/checkout/submodule_url.ts";

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
