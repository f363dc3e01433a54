import assert from "node:assert/strict";
import { PullProgress } from "@lib/features/containers/pull_progress.ts";

Deno.test("PullProgress says at most a line a second, and only what is new", () => {
  let now = 0;
  const lines: string[] = [];
  const progress = new PullProgress((line) => lines.push(line), { now: () => now });
  const layers = ["aaaaaaaaaaaa", "bbbbbbbbbbbb", "cccccccccccc"];
  progress.take({ status: "Pulling from team/tiny", id: "latest" });
  for (const id of layers) progress.take({ status: "Pulling fs layer", id });
  progress.take({ status: "Already exists", id: "aaaaaaaaaaaa" });
  assert.deepEqual(lines, []);
  for (let i = 0; i < 100; i++) {
    now += 100;
    progress.take({ status: "Downloading", id: "bbbbbbbbbbbb" });
  }
  assert.deepEqual(lines, ["Pulled 1 of 3 layers"]);
  progress.take({ status: "Pull complete", id: "bbbbbbbbbbbb" });
  assert.deepEqual(lines, ["Pulled 1 of 3 layers", "Pulled 2 of 3 layers"]);
});

Deno.test("PullProgress holds a bounded number of layers", () => {
  let now = 0;
  const lines: string[] = [];
  const progress = new PullProgress((line) => lines.push(line), { now: () => now });
  for (let i = 0; i < 5_000; i++) {
    progress.take({ status: "Waiting", id: i.toString(16).padStart(12, "0") });
  }
  now = 5_000;
  progress.take({ status: "Waiting", id: "000000000000" });
  assert.deepEqual(lines, ["Pulled 0 of 1024 layers"]);
});
