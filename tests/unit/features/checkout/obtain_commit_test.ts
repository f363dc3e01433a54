import assert from "node:assert/strict";
import { parseLsRemote } from "@lib/features/checkout/obtain_commit.ts";

Deno.test("parseLsRemote() reads ids and what HEAD stands for, and passes over the rest", () => {
  const [a, b] = ["a".repeat(40), "b".repeat(64)];
  const text =
    `ref: refs/heads/main\tHEAD\n${a}\tHEAD\n${b}\trefs/tags/v1^{}\nwarning: x\nabc\tx\n`;
  const { shas, targets } = parseLsRemote(text);
  assert.deepEqual([...shas], [["HEAD", a], ["refs/tags/v1^{}", b]]);
  assert.deepEqual([...targets], [["HEAD", "refs/heads/main"]]);
});
