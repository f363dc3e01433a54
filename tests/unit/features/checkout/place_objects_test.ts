import assert from "node:assert/strict";
import * as fc from "fast-check";
import { shallowCommits } from "@lib/features/checkout/place_objects.ts";

Deno.test("shallowCommits() cuts each line of history at the depth", () => {
  const line = "e d\nd c\nc b\nb a\na\n";
  assert.deepEqual(shallowCommits(line, 1), ["e"]);
  assert.deepEqual(shallowCommits(line, 3), ["c"]);
  assert.deepEqual(shallowCommits(line, 4), ["b"]);
  assert.deepEqual(shallowCommits(line, 5), []);
  assert.deepEqual(shallowCommits(line, 50), []);
  const merge = "m a b\na r\nb c\nc r\nr\n";
  assert.deepEqual(shallowCommits(merge, 2), ["a", "b"]);
  assert.deepEqual(shallowCommits(merge, 3), ["c"]);
  assert.deepEqual(shallowCommits("a\n", 1), []);
});

Deno.test("shallowCommits() cuts where the list ends", () => {
  assert.deepEqual(shallowCommits("e d\nd c\n", 10), ["d"]);
});

Deno.test("shallowCommits() leaves as many commits of a straight history as the depth says", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 60 }), fc.integer({ min: 1, max: 80 }), (n, depth) => {
      const lines = Array.from(
        { length: n },
        (_, at) => at + 1 < n ? `c${at} c${at + 1}` : `c${at}`,
      );
      const cut = shallowCommits(lines.join("\n"), depth);
      assert.deepEqual(cut, depth < n ? [`c${depth - 1}`] : []);
    }),
  );
});
