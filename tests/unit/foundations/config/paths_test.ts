import assert from "node:assert/strict";
import * as fc from "fast-check";
import { placeOf, resolvePath } from "@lib/foundations/config/paths.ts";

const places = { home: "/home/ann", env: { XDG_RUNTIME_DIR: "/run/user/7", XDG_DATA_HOME: "rel" } };

function expand(text: string): string {
  const expanded = resolvePath(text, "absolute", places);
  return expanded.kind === "path" ? expanded.path : `refused: ${expanded.message}`;
}

Deno.test("resolvePath() expands ~/ and the XDG variables at the front", () => {
  assert.equal(expand("~/a//b/./c/"), "/home/ann/a/b/c");
  assert.equal(expand("~"), "/home/ann");
  assert.equal(expand("$XDG_RUNTIME_DIR/x.sock"), "/run/user/7/x.sock");
  assert.equal(expand("${XDG_STATE_HOME}/x"), "/home/ann/.local/state/x");
  assert.equal(expand("$HOME"), "/home/ann");
});

Deno.test("resolvePath() refuses what it does not expand", () => {
  assert.match(expand("%h/x"), /systemd's specifiers are not expanded/);
  assert.match(expand("~bob/x"), /not ~user/);
  assert.match(expand("/a/$HOME"), /only at the front/);
  assert.match(expand("$XDG_RUNTIME_DIRx"), /only at the front/);
  assert.match(expand("$XDG_RUNTIM_DIR/x"), /did you mean "XDG_RUNTIME_DIR"\?$/);
  assert.match(expand("a/b"), /give an absolute path/);
  assert.match(expand("/a/../b"), /'\.\.' is not allowed/);
  assert.match(expand("/a\nb"), /control character/);
});

Deno.test("resolvePath() says which variable is not set", () => {
  const expanded = resolvePath("$XDG_RUNTIME_DIR/x", "absolute", { home: undefined, env: {} });
  assert.deepEqual(expanded, {
    kind: "problem",
    message: "needs $XDG_RUNTIME_DIR, which is not set; set it or give an absolute path",
  });
});

Deno.test("placeOf() ignores a relative XDG directory, as the specification wants", () => {
  assert.equal(placeOf("XDG_DATA_HOME", places), "/home/ann/.local/share");
});

Deno.test("resolvePath() gives an absolute, tidy path or a problem, for any text", () => {
  fc.assert(fc.property(fc.string({ unit: fc.constantFrom(..."~$/.aH{}%\n\0") }), (text) => {
    const expanded = resolvePath(text, "absolute", places);
    if (expanded.kind === "problem") return;
    assert.match(expanded.path, /^\/([^/]+(\/[^/]+)*)?$/);
    assert.ok(!expanded.path.split("/").some((part) => part === "." || part === ".."));
  }));
});

Deno.test("resolvePath() leaves a relative path where one is allowed, and refuses '..' in it", () => {
  const places = { home: "/h", env: {} };
  assert.deepEqual(resolvePath("a/b", "any", places), { kind: "path", path: "a/b" });
  assert.deepEqual(resolvePath("~/b", "any", places), { kind: "path", path: "/h/b" });
  assert.equal(resolvePath("a/../b", "any", places).kind, "problem");
  assert.equal(resolvePath("a\nb", "any", places).kind, "problem");
});
