import assert from "node:assert/strict";
import { Viewer } from "@lib/features/terminals/viewer.ts";

/** A client that takes a frame each time that it is told to. */
function setup() {
  const frames: (string | number)[] = [];
  let taking: (() => void)[] = [];
  let drained = 0;
  let behind = 0;
  const viewer = new Viewer({
    peer: {
      signal: new AbortController().signal,
      send(data) {
        frames.push(typeof data === "string" ? JSON.parse(data).type : data.length);
        return new Promise((resolve) => taking.push(resolve));
      },
      listen() {},
    },
    by: "somebody",
    mayWrite: true,
    scrollback: 0,
    joinedAt: 0,
    onDrained: () => drained++,
    onBehind: () => behind++,
  });
  const turn = () => new Promise<void>((resolve) => setTimeout(resolve));
  return {
    viewer,
    frames,
    get drained() {
      return drained;
    },
    get behind() {
      return behind;
    },
    turn,
    async take() {
      const now = taking;
      taking = [];
      for (const each of now) each();
      await turn();
    },
  };
}

const bytes = (length: number) => new Uint8Array(length);

Deno.test("Viewer joins what waits, in the order of messages and output", async () => {
  const t = setup();
  t.viewer.output(bytes(1));
  t.viewer.output(bytes(10));
  t.viewer.output(bytes(20));
  t.viewer.tell({ type: "screen" });
  t.viewer.output(bytes(5));
  assert.equal(t.viewer.queued, 36);
  for (let frame = 0; frame < 4; frame++) await t.take();
  assert.deepEqual(t.frames, [1, 30, "screen", 5]);
  assert.equal(t.viewer.queued, 0);
  assert.equal(t.viewer.isIdle, true);
});

Deno.test("Viewer sends the output that came while the screen was drawn after it", async () => {
  const t = setup();
  const drawn = Promise.withResolvers<string>();
  const drawing = t.viewer.draw(drawn.promise);
  t.viewer.output(bytes(7));
  drawn.resolve("four");
  await drawing;
  for (let frame = 0; frame < 3; frame++) await t.take();
  assert.deepEqual(t.frames, ["screen", 11]);
});

Deno.test("Viewer that is skipped holds nothing, and counts what it misses", async () => {
  const t = setup();
  t.viewer.output(bytes(1));
  t.viewer.output(bytes(1_000));
  t.viewer.tell({ type: "screen" });
  t.viewer.skip();
  t.viewer.output(bytes(50));
  assert.equal(t.viewer.queued, 0);
  assert.equal(t.viewer.skipped, 1_051);
  await t.take();
  await t.take();
  // A message is not left out.
  assert.deepEqual(t.frames, [1, "screen"]);
  assert.ok(t.drained > 0);
});

Deno.test("Viewer draws a large screen in frames of the usual size", async () => {
  const t = setup();
  await t.viewer.draw(Promise.resolve("x".repeat(150_000)));
  for (let frame = 0; frame < 4; frame++) await t.take();
  assert.deepEqual(t.frames, ["screen", 65_536, 65_536, 18_928]);
  assert.equal(t.viewer.queued, 0);
});

Deno.test("Viewer that takes no messages is told of once, and they do not gather", async () => {
  const t = setup();
  for (let count = 0; count < 10_000; count++) {
    t.viewer.tell({ type: "notice", code: "read_only", text: "you only watch" });
  }
  assert.equal(t.behind, 1);
  let taken = -1;
  while (t.frames.length > taken) {
    taken = t.frames.length;
    await t.take();
  }
  assert.ok(taken < 2_000, `${taken} messages`);
});
