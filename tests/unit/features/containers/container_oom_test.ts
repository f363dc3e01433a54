import assert from "node:assert/strict";
import { type OomKills, wasOutOfMemory } from "@lib/features/containers/container_oom.ts";
import { FakeClock } from "../../../support/fake_clock.ts";

const FINISHED_AT = 10_000;
const NEVER = new AbortController().signal;

/** Asks about a container that ended a moment ago; what the engine was asked is returned too. */
async function ask(
  { exitCode = 3, podman = false, kind = "unix", hears = true, before, after }: {
    readonly exitCode?: number;
    readonly podman?: boolean;
    readonly kind?: "unix" | "tcp";
    readonly hears?: boolean;
    readonly before: OomKills | undefined;
    readonly after: OomKills;
  },
) {
  const asked: (readonly [string, number])[] = [];
  const engine = {
    address: { kind },
    facts: () => Promise.resolve({ podman }),
    heardOutOfMemory(container: string, untilMs: number) {
      asked.push([container, untilMs]);
      return Promise.resolve(hears);
    },
  };
  const clock = new FakeClock(FINISHED_AT + 7);
  const told = await wasOutOfMemory(
    engine,
    { id: "c1", exitCode, finishedAt: FINISHED_AT },
    { before, after, clock, signal: NEVER },
  );
  return { told, asked };
}

const kills = (machine: number | undefined, slice?: number): OomKills => ({ machine, slice });

Deno.test("wasOutOfMemory() asks the engine whatever the exit code, and longer if the kernel killed something", async () => {
  for (const [exitCode, waitMs] of [[0, 500], [3, 2_000], [137, 2_000]] as const) {
    const { told, asked } = await ask({ exitCode, before: kills(4), after: kills(5) });
    assert.deepEqual({ told, asked }, { told: true, asked: [["c1", FINISHED_AT + waitMs]] });
  }
});

Deno.test("wasOutOfMemory() does not wait if the kernel killed nothing", async () => {
  const { told, asked } = await ask({ hears: false, before: kills(5), after: kills(5) });
  assert.deepEqual({ told, asked }, { told: false, asked: [["c1", FINISHED_AT + 7]] });
});

Deno.test("wasOutOfMemory() waits a moment if it cannot know about kills", async () => {
  const asked = async (known: Omit<Parameters<typeof ask>[0], "hears">) =>
    (await ask({ ...known, hears: false })).asked;
  const moment = [["c1", FINISHED_AT + 500]];
  assert.deepEqual(await asked({ before: undefined, after: kills(5) }), moment);
  assert.deepEqual(await asked({ before: kills(undefined), after: kills(undefined) }), moment);
  assert.deepEqual(await asked({ kind: "tcp", before: kills(5), after: kills(5) }), moment);
});

Deno.test("wasOutOfMemory() believes the slice of Podman about an exit with 137 only", async () => {
  const of = async (exitCode: number, before: OomKills, after: OomKills) =>
    await ask({ exitCode, podman: true, before, after });
  assert.deepEqual(await of(137, kills(0, 1), kills(1, 2)), { told: true, asked: [] });
  assert.deepEqual(await of(137, kills(0, 2), kills(1, 2)), { told: false, asked: [] });
  assert.deepEqual(await of(137, kills(0), kills(1, 2)), { told: false, asked: [] });
  assert.deepEqual(await of(3, kills(0, 1), kills(1, 2)), { told: false, asked: [] });
});
