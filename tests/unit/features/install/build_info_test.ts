import assert from "node:assert/strict";
import { formatBuildInfo, parseBuildInfo } from "@lib/features/install/build_info.ts";

Deno.test("parseBuildInfo() reads what formatBuildInfo() writes", () => {
  const info = {
    version: "1.2.3",
    layout: "shared-runtime",
    deno: "2.9.6",
    target: "x86_64-unknown-linux-gnu",
    date: "2026-01-01T00:00:00.000Z",
    schemas: { jobs: 3, access: 1 },
  } as const;
  assert.deepEqual(parseBuildInfo(formatBuildInfo(info)), info);
});

Deno.test("parseBuildInfo() takes nothing else", () => {
  for (const text of ["", "null", "[]", "{}", '{"version":1,"layout":"executable"}', "{"]) {
    assert.equal(parseBuildInfo(text), undefined, text);
  }
});
