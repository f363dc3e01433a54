import assert from "node:assert/strict";
import { counted } from "@lib/core/count.ts";

Deno.test("counted() knows one from many", () => {
  assert.deepEqual([0, 1, 2].map((count) => counted(count, "job")), ["0 jobs", "1 job", "2 jobs"]);
});
