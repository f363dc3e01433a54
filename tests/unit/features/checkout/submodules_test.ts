import assert from "node:assert/strict";
import { parseGitmodules, resolveSubmoduleUrl } from "@lib/features/checkout/submodules.ts";
import { parseGitUrl } from "@lib/spine/spec/git_url.ts";

Deno.test("parseGitmodules() takes the path and the address of each submodule", () => {
  const text =
    "submodule.a.b.path\nvendor/a/\0submodule.a.b.url\n../a.git\0submodule.a.b.update\n!x\0" +
    "submodule.half.path\nhalf\0core.hookspath\nx\0submodule.c.path\nc\nd\0submodule.c.url\nu\0";
  assert.deepEqual(parseGitmodules(text), [
    { name: "a.b", path: "vendor/a", url: "../a.git", isSkipped: false },
    { name: "c", path: "c\nd", url: "u", isSkipped: false },
  ]);
  const none = "submodule.n.path\nn\0submodule.n.url\nu\0submodule.n.update\nnone\0";
  assert.deepEqual(parseGitmodules(none), [{ name: "n", path: "n", url: "u", isSkipped: true }]);
  assert.deepEqual(parseGitmodules(""), []);
});

function resolve(parent: string, url: string, tokenOrigin?: string): string {
  const parsed = parseGitUrl(parent);
  assert.equal(parsed.kind, "remote", parent);
  assert.ok(parsed.kind === "remote");
  const found = resolveSubmoduleUrl(parsed.remote, url, tokenOrigin);
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

Deno.test("resolveSubmoduleUrl() leads addresses of the token's own host to its origin", () => {
  const parent = "https://example.org/g/app.git";
  const own = "https://Example.org:8443";
  const cases = [
    ["git@example.org:g/lib.git", `${own}/g/lib.git`],
    ["git@EXAMPLE.org:/g/lib.git", `${own}/g/lib.git`],
    ["ssh://git@example.org:2222/g/lib.git", `${own}/g/lib.git`],
    ["ssh://example.org/g/lib.git", `${own}/g/lib.git`],
    ["https://me@example.org:8443/g/lib.git", `${own}/g/lib.git`],
    ["git@example.com:g/lib.git", "git@example.com:g/lib.git"],
    ["git@evil.example.org:g/lib.git", "git@evil.example.org:g/lib.git"],
    ["https://example.org/g/lib.git", "https://example.org/g/lib.git"],
  ] as const;
  for (const [url, expected] of cases) assert.equal(resolve(parent, url, own), expected);
  const plain = "https://example.org";
  assert.equal(resolve(parent, "https://me@example.org:443/lib", plain), `${plain}/lib`);
  for (const url of ["https://me:word@example.org:8443/lib", "https://me@example.org/lib"]) {
    assert.match(resolve(parent, url, own), /^refused: holds credentials/);
  }
  assert.match(resolve(parent, "git@example.org:../../x", own), /^refused/);
  assert.equal(resolve(parent, "git@example.org:g/lib"), "git@example.org:g/lib");
});
