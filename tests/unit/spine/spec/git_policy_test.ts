import assert from "node:assert/strict";
import * as fc from "fast-check";
import { gitIssues } from "@lib/spine/spec/git_policy.ts";
import type { GitSpec } from "@lib/spine/spec/job_spec.ts";

const RULES = { schemes: ["https", "http", "ssh"] } as const;
const PLAIN: GitSpec = {
  url: "https://example.org/app.git",
  depth: 1,
  submodules: false,
  lfs: false,
  path: ".",
};

function paths(changes: Partial<GitSpec>, rules: Parameters<typeof gitIssues>[1] = RULES) {
  return gitIssues({ ...PLAIN, ...changes }, rules).map(({ path }) => path);
}

Deno.test("gitIssues() finds nothing wrong with what people write", () => {
  const urls = [
    "https://example.org/app.git",
    "https://example.org:8443/group/sub/app",
    "http://127.0.0.1:3000/a/b.git/",
    "https://[::1]:8443/app.git",
    "ssh://git@example.org/app.git",
    "ssh://git@example.org:2222/~user/app.git",
    "ssh://example.org/app",
    "git@example.org:group/app.git",
    "example.org:app.git",
    "https://example.org/a%20b.git",
  ];
  for (const url of urls) assert.deepEqual(paths({ url }), [], url);
  for (
    const ref of ["main", "feature/x-1", "v1.0.0", "refs/pull/7/head", "HEAD", "ümlaut", "a@b"]
  ) {
    assert.deepEqual(paths({ ref }), [], ref);
  }
  for (const path of [".", "src", "src/app", "src/", "-x", ".github", "a.git"]) {
    assert.deepEqual(paths({ path }), [], path);
  }
  assert.deepEqual(paths({ sha: "a".repeat(40), depth: 0, tokenSecret: "T" }), []);
  assert.deepEqual(paths({ sha: "0a".repeat(32), depth: 1_000_000 }), []);
});

Deno.test("gitIssues() refuses addresses that would run a program or open this machine", () => {
  const urls = [
    "",
    "-oProxyCommand=x:y",
    "--upload-pack=x",
    "ext::sh -c x",
    "ext::x",
    "ext::x[",
    "[::1]:x",
    "fd::3",
    "a+b::x",
    "git://example.org/app.git",
    "ftp://example.org/app.git",
    "HTTPS://example.org/app.git",
    "file:///srv/app.git",
    "file://host/srv/app.git",
    "/srv/app.git",
    "./app.git",
    "../app.git",
    "app",
    "~/app",
    "https://-x.example.org/app",
    "ssh://-oProxyCommand=x/app",
    "ssh://git@-x/app",
    "git@-x:app",
    "git@example.org:-app",
    "https://example.org",
    "https://example.org/",
    "https:///app",
    "https://example.org:0/app",
    "https://example.org:99999/app",
    "https://example.org/../app",
    "https://example.org/a b",
    "https://example.org/a\nb",
    "https://example.org/a%0ab",
    "https://example.org/app?x=1",
    "https://example.org/app#x",
    "https://example.org\\@evil.example/app",
    "https://ex\u0430mple.org/app",
  ];
  for (const url of urls) assert.deepEqual(paths({ url }), ["git.url"], url);
});

Deno.test("gitIssues() refuses credentials in the address, and does not repeat them", () => {
  const secret = "s3cret-t0ken";
  const urls = [
    `https://user:${secret}@example.org/app`,
    `https://${secret}@example.org/app`,
    `https://:${secret}@example.org/app`,
    `http://${secret}@example.org/app`,
    `ssh://git:${secret}@example.org/app`,
    `user:${secret}@example.org:app`,
    `https://user:${secret}@example.org`,
  ];
  for (const url of urls) {
    const issues = gitIssues({ ...PLAIN, url }, RULES);
    assert.deepEqual(issues.map(({ path }) => path), ["git.url"], url);
    assert.ok(!JSON.stringify(issues).includes(secret), url);
  }
});

Deno.test("gitIssues() allows the schemes of the configuration only", () => {
  assert.deepEqual(paths({ url: "file:///srv/app.git" }, { schemes: ["file"] }), []);
  assert.deepEqual(paths({ url: "/srv/app.git" }, { schemes: ["file"] }), []);
  assert.deepEqual(paths({ url: "/srv/../etc" }, { schemes: ["file"] }), ["git.url"]);
  assert.deepEqual(paths({}, { schemes: ["ssh"] }), ["git.url"]);
  assert.deepEqual(paths({ url: "git@example.org:app" }, { schemes: ["https"] }), ["git.url"]);
});

Deno.test("gitIssues() refuses names that git does not allow, or would take as something else", () => {
  const refs = [
    ...[
      "",
      "-x",
      "--all",
      "a..b",
      "a b",
      "a~1",
      "a^",
      "a:b",
      "a?",
      "a*",
      "a[",
      "a\\b",
      "a@{1}",
      "@",
    ],
    ...["/a", "a/", "a//b", ".a", "a/.b", "a.lock", "a.lock/b", "a.", "a\u0000", "a\u007f", "a\nb"],
    ...["a".repeat(40), "A".repeat(40), "0".repeat(64), "a".repeat(2_000), "+a:b"],
  ];
  for (const ref of refs) assert.deepEqual(paths({ ref }), ["git.ref"], JSON.stringify(ref));
});

Deno.test("gitIssues() refuses short, long, upper-case and empty commit ids", () => {
  const shas = [
    "",
    "abc1234",
    "A".repeat(40),
    "g".repeat(40),
    "a".repeat(41),
    "0".repeat(40),
    "-a",
  ];
  for (const sha of shas) assert.deepEqual(paths({ sha }), ["git.sha"], sha);
});

Deno.test("gitIssues() refuses depths and paths out of bounds", () => {
  for (const depth of [-1, 1.5, NaN, Infinity, 1_000_001]) {
    assert.deepEqual(paths({ depth }), ["git.depth"], String(depth));
  }
  const bad = ["", "/", "/a", "..", "a/../b", "a/..", "./a", "a//b", ".git", "a/.GIT/b", "git~1"];
  for (const path of [...bad, "a\nb", "a\u0000"]) {
    assert.deepEqual(paths({ path }), ["git.path"], JSON.stringify(path));
  }
});

Deno.test("gitIssues() accepts a token over http and https only", () => {
  const tokenSecret = "T";
  assert.deepEqual(paths({ url: "http://example.org/app", tokenSecret }), []);
  assert.deepEqual(paths({ url: "git@example.org:app", tokenSecret }), ["git.token_secret"]);
  assert.deepEqual(paths({ url: "ssh://example.org/app", tokenSecret }), ["git.token_secret"]);
});

Deno.test("gitIssues() lets nothing through that git would read as an option or a helper", () => {
  fc.assert(fc.property(fc.string({ unit: "binary", maxLength: 40 }), (text) => {
    if (paths({ url: text }).length === 0) {
      assert.doesNotMatch(text, /^-|^[^/]*::|\p{Cc}|^\/|^\./u);
      assert.match(text, /:/);
    }
    if (paths({ ref: text }).length === 0) assert.doesNotMatch(text, /^-|[\p{Cc} :*?[\\^~]|\.\./u);
    if (paths({ path: text }).length === 0 && text !== ".") {
      const at = new URL(`file:///directory/${text.split("/").map(encodeURIComponent).join("/")}`);
      assert.ok(at.pathname.startsWith("/directory/"));
    }
  }));
});
