import assert from "node:assert/strict";
import { DENO_VERSION, requireDeno } from "../../../../tools/build/layout.ts";

Deno.test("requireDeno() takes the version that the programs are made for, and no other", () => {
  requireDeno(DENO_VERSION);
  for (const other of ["2.7.11", `${DENO_VERSION}-rc.1`, `${DENO_VERSION}0`, "3.0.0"]) {
    assert.throws(() => requireDeno(other), {
      message: `Cannot build with Deno ${other}: the programs are made for Deno ${DENO_VERSION}; ` +
        `install it with "npm install --global deno@${DENO_VERSION}"`,
    });
  }
});
