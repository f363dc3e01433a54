import assert from "node:assert/strict";
import { TerminalSession } from "@lib/features/terminals/session.ts";
import type { TerminalOrder } from "@lib/features/terminals/protocol.ts";
import type { WebSocketPeer } from "@lib/foundations/http/web_socket.ts";
import { FakeClock } from "../../../support/fake_clock.ts";
import { silentLogger } from "../../../support/silent_logger.ts";

const ORDER: TerminalOrder = {
  command: [],
  columns: 80,
  rows: 24,
  isReadOnly: false,
  takes: false,
  isRecorded: false,
  scrollback: 0,
  by: "by a test",
};

/** A client that takes so many bytes, and nothing after that. */
function peer(takesBytes: number) {
  let bytes = 0;
  const told: string[] = [];
  const left = new AbortController();
  let say: (message: string) => void = () => {};
  const client: WebSocketPeer = {
    signal: left.signal,
    send(data) {
      if (typeof data === "string") {
        told.push(data);
        return Promise.resolve();
      }
      bytes += data.length;
      return bytes > takesBytes ? Promise.withResolvers<void>().promise : Promise.resolve();
    },
    listen: (take) => void (say = (message) => void take(message)),
  };
  return {
    client,
    told,
    leave: () => left.abort(new DOMException("The client disconnected", "AbortError")),
    say: (message: unknown) => say(JSON.stringify(message)),
  };
}

function setup() {
  const clock = new FakeClock();
  const line = { isPaused: false, columns: 80, show: (_: Uint8Array<ArrayBuffer>) => {} };
  const session = new TerminalSession({
    id: "0123456789ab",
    size: { columns: 80, rows: 24 },
    open(onData) {
      line.show = onData;
      return {
        ended: Promise.resolve(),
        unwritten: 0,
        pause: () => void (line.isPaused = true),
        resume: () => void (line.isPaused = false),
        write: () => Promise.resolve(),
        resize: ({ columns }) => void (line.columns = columns),
        closeSlave() {},
        [Symbol.dispose]() {},
      };
    },
    onResized: () => {},
    clock,
    log: silentLogger,
  });
  return { clock, line, session, [Symbol.dispose]: () => session[Symbol.dispose]() };
}

Deno.test("a viewer that stops reading holds the others for two seconds, however little waits for it", async () => {
  using t = setup();
  const slow = peer(240 * 1024);
  const live = peer(Infinity);
  const serving = [slow, live].map(({ client }) => t.session.join(client, ORDER));
  // More than is kept for a viewer, of which it takes most.
  for (let count = 0; count < 75; count++) t.line.show(new Uint8Array(4 * 1024).fill(120));
  await t.clock.tick(0);
  for (const viewer of t.session.viewers) assert.ok(viewer.queued <= 256 * 1024);
  assert.equal(t.line.isPaused, true);
  await t.clock.tick(2_000);
  assert.equal(t.line.isPaused, false);
  slow.leave();
  live.leave();
  await Promise.all(serving);
});

Deno.test("sizes that change too often are told, also if the timer's change is one too many", async () => {
  using t = setup();
  const one = peer(Infinity);
  const serving = t.session.join(one.client, ORDER);
  const resize = (columns: number) => one.say({ type: "resize", columns, rows: 20 });
  // With the one at the start, 199.
  for (let count = 0; count < 197; count++) resize(60 + count % 9);
  resize(99);
  while (t.line.columns !== 99) await new Promise((resolve) => setTimeout(resolve, 1));
  for (let count = 0; count < 50; count++) resize(60 + count % 9);
  await t.clock.tick(0);
  assert.equal(one.told.filter((text) => text.includes("resizes_merged")).length, 1);
  one.leave();
  await serving;
});
