import assert from "node:assert/strict";
import { parseGitmodules } from "@lib/features/checkout/submodules.ts";

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
