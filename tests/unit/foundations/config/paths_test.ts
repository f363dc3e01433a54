import assert from "node:assert/strict";
import * as fc from "fast-check";
import { expandPath, placeOf } from "@lib/foundations/config/paths.ts";

const places = { home: "/home/ann", env: { XDG_RUNTIME_DIR: "/run/user/7", XDG_DATA_HOME: "rel" } };

function expand(text: string): string {
  const expanded = expandPath(text, places);
  return expanded.kind === "path" ? expanded.path : `refused: ${expanded.message}`;
}

Deno.test("expandPath() expands ~/ and the XDG variables at the front", () => {
  assert.equal(expand("~/a//b/./c/"), "/home/ann/a/b/c");
  assert.equal(expand("~"), "/home/ann");
  assert.equal(expand("$XDG_RUNTIME_DIR/x.sock"), "/run/user/7/x.sock");
  assert.equal(expand("${XDG_STATE_HOME}/x"), "/home/ann/.local/state/x");
  assert.equal(expand("$HOME"), "/home/ann");
});

Deno.test("expandPath() refuses what it does not expand", () => {
  assert.match(expand("%h/x"), /systemd's specifiers are not expanded/);
  assert.match(expand("~bob/x"), /not ~user/);
  assert.match(expand("/a/$HOME"), /only at the front/);
  assert.match(expand("$XDG_RUNTIME_DIRx"), /only at the front/);
  assert.match(expand("$XDG_RUNTIM_DIR/x"), /did you mean "XDG_RUNTIME_DIR"\?$/);
  assert.match(expand("a/b"), /give an absolute path/);
  assert.match(expand("/a/../b"), /'\.\.' is not allowed/);
  assert.match(expand("/a\nb"), /control character/);
});

Deno.test("expandPath() says which variable is not set", () => {
  const expanded = expandPath("$XDG_RUNTIME_DIR/x", { home: undefined, env: {} });
  assert.deepEqual(expanded, {
    kind: "problem",
    message: "needs $XDG_RUNTIME_DIR, which is not set; set it or give an absolute path",
  });
});

Deno.test("placeOf() ignores a relative XDG folder, as the specification wants", () => {
  assert.equal(placeOf("XDG_DATA_HOME", places), "/home/ann/.local/share");
});

Deno.test("expandPath() gives an absolute, tidy path or a problem, for any text", () => {
  fc.assert(fc.property(fc.string({ unit: fc.constantFrom(..."~$/.aH{}%\n\0") }), (text) => {
    const expanded = expandPath(text, places);
    if (expanded.kind === "problem") return;
    assert.match(expanded.path, /^\/([^/]+(\/[^/]+)*)?$/);
    assert.ok(!expanded.path.split("/").some((part) => part === "." || part === ".."));
  }));
});
