import assert from "node:assert/strict";
import { SpareProgram, type WantedProgram } from "@lib/features/terminals/spare_program.ts";
import { SUITE_SLICE } from "@lib/foundations/systemd/unit_name.ts";
import { FakeClock } from "../../../support/fake_clock.ts";

const PROGRAM: WantedProgram = {
  argv: ["/bin/bash", "-l"],
  env: { TERM: "xterm" },
  workdir: "/home/dev",
  maxMs: 1_000,
  limits: {},
};
const MINUTES_MS = 60_000;

function setup(start: () => Promise<void> = () => Promise.resolve()) {
  const clock = new FakeClock();
  const log: string[] = [];
  const gone = Promise.withResolvers<void>();
  const spare = new SpareProgram({
    makePipe(id) {
      log.push("pipe");
      return {
        path: `/run/${id}/command`,
        pipe: { write: (text) => void log.push(text), close: () => void log.push("closed") },
      };
    },
    async start({ argv, id }) {
      await start();
      assert.deepEqual(argv, ["/bin/sh", `/run/${id}/command`]);
      log.push("started");
      return { gone: gone.promise, close: () => void log.push("hung up") };
    },
    remove: () => void log.push("removed"),
    onFailure: (error) => void log.push(String(error)),
    clock,
  });
  return { spare, clock, log, gone, signal: new AbortController().signal };
}

Deno.test("a unit waits after the first program, and runs the next one", async () => {
  const { spare, clock, log, gone, signal } = setup();
  assert.equal(spare.reserve(PROGRAM), undefined);
  spare.prepare(PROGRAM);
  spare.prepare(PROGRAM);
  await clock.tick(10);
  assert.deepEqual(log, ["pipe", "started"]);
  const id = spare.reserve({ ...PROGRAM, argv: ["echo", "it's", "a\nb"] });
  assert.match(id ?? "", /^[0-9a-f]{12}$/);
  assert.equal(spare.reserve(PROGRAM), undefined, "only one may have it");
  const taken = await spare.take(id ?? "", signal);
  taken?.run(["echo", "it's", "a\nb"]);
  assert.equal(log.at(-1), `exec 'echo' 'it'\\''s' 'a\nb'\n`);
  assert.equal(await spare.take(id ?? "", signal), undefined);
  // It is a terminal now: it neither expires nor ends with this.
  await clock.tick(20 * MINUTES_MS);
  spare[Symbol.dispose]();
  gone.resolve();
  await clock.tick(1);
  assert.deepEqual(log.slice(3), ["closed"]);
});

Deno.test("a unit that nobody takes ends in time, with its agent, and when the configuration changes", async () => {
  const ends: readonly ((t: ReturnType<typeof setup>) => void | Promise<void>)[] = [
    ({ clock }) => clock.tick(11 * MINUTES_MS),
    ({ spare }) => spare[Symbol.dispose](),
    ({ spare }) => assert.equal(spare.reserve({ ...PROGRAM, limits: { tasks: 5 } }), undefined),
  ];
  for (const end of ends) {
    const t = setup();
    t.spare.prepare(PROGRAM);
    await t.clock.tick(10);
    await end(t);
    await t.clock.tick(1);
    assert.deepEqual(t.log.toSorted(), ["closed", "hung up", "pipe", "removed", "started"]);
    assert.equal(t.spare.reserve(PROGRAM), undefined);
  }
});

Deno.test("a unit that ends or cannot be started is forgotten, and the next program begins anew", async () => {
  const t = setup();
  t.spare.prepare(PROGRAM);
  await t.clock.tick(10);
  t.gone.resolve();
  await t.clock.tick(1);
  assert.equal(t.spare.reserve(PROGRAM), undefined);
  assert.equal(t.log.at(-1), "hung up");

  const refused = setup(() => Promise.reject(new Error("refused")));
  refused.spare.prepare(PROGRAM);
  await refused.clock.tick(10);
  assert.deepEqual(refused.log.toSorted(), ["Error: refused", "closed", "pipe", "removed"]);
  assert.equal(refused.spare.reserve(PROGRAM), undefined);
});

Deno.test("a program in the place of a job, or with a long command, takes no unit that waits", async () => {
  const { spare, clock, log } = setup();
  spare.prepare({ ...PROGRAM, unit: SUITE_SLICE });
  await clock.tick(10);
  assert.deepEqual(log, []);
  spare.prepare(PROGRAM);
  await clock.tick(10);
  assert.equal(spare.reserve({ ...PROGRAM, argv: ["echo", "x".repeat(5_000)] }), undefined);
  assert.notEqual(spare.reserve(PROGRAM), undefined);
});
