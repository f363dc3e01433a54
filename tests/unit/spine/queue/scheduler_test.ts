import assert from "node:assert/strict";
import * as fc from "fast-check";
import { newJobId } from "@lib/core/ids.ts";
import { type Candidate, type ProjectCandidates, rankOf } from "@lib/spine/queue/queue_queries.ts";
import { pickJobs, type SchedulingBounds } from "@lib/spine/queue/scheduler.ts";
import { makeJob, makeSpec, projectName } from "../../../support/job_fixtures.ts";

function bounds(changes: Partial<SchedulingBounds> = {}): SchedulingBounds {
  return {
    running: 0,
    maxRunning: 4,
    inFlight: new Map(),
    maxProjects: 16,
    maxRunningOf: () => 4,
    isPaused: () => false,
    lastTurnOf: () => 0,
    ...changes,
  };
}

function candidates(name: string, count: number, running = 0, group?: string): ProjectCandidates {
  return {
    project: projectName(name),
    running,
    candidates: Array.from({ length: count }, (_, rank): Candidate => ({
      id: newJobId(),
      rank,
      ...(group === undefined ? {} : { group }),
    })),
  };
}

function names(projects: readonly ProjectCandidates[], wish: SchedulingBounds): string[] {
  return pickJobs(projects, wish).map(({ project }) => project);
}

Deno.test("pickJobs() alternates between equal projects", () => {
  assert.deepEqual(names([candidates("a", 9), candidates("b", 9)], bounds()), ["a", "b", "a", "b"]);
});

Deno.test("pickJobs() favours the project with the fewest running jobs", () => {
  const picked = names([candidates("a", 9, 2), candidates("b", 9)], bounds({ running: 2 }));
  assert.deepEqual(picked, ["b", "b"]);
});

Deno.test("pickJobs() starts no further project beyond the limit, and lets one finish for it", () => {
  const inFlight = new Map([[projectName("a"), 2], [projectName("b"), 1]]);
  const limits = bounds({ running: 3, maxRunning: 9, inFlight, maxProjects: 2 });
  const both = [candidates("a", 1, 2), candidates("b", 1, 1)];
  assert.deepEqual(names(both, limits), ["b", "a"]);
  assert.deepEqual(names([...both, candidates("c", 1)], limits), ["a"]);
  const free = { ...limits, inFlight: new Map([[projectName("a"), 2]]) };
  assert.deepEqual(names([...both, candidates("c", 1)], free), ["c", "a"]);
});

Deno.test("pickJobs() prefers the project that has waited longest for a turn", () => {
  const lastTurnOf = (project: string) => project === "a" ? 7 : 3;
  assert.deepEqual(
    names([candidates("a", 1), candidates("b", 1)], bounds({ maxRunning: 1, lastTurnOf })),
    [
      "b",
    ],
  );
});

Deno.test("pickJobs() starts the smallest rank of a project first", () => {
  const one = candidates("a", 3);
  const picked = pickJobs([one], bounds({ maxRunning: 2 })).map(({ id }) => id);
  assert.deepEqual(picked, one.candidates.slice(0, 2).map(({ id }) => id));
});

Deno.test("pickJobs() starts one job of a group and goes on with those behind it", () => {
  const grouped = candidates("a", 3, 0, "deploy");
  const free = candidates("a", 1);
  const picked = pickJobs(
    [{ ...grouped, candidates: [...grouped.candidates, ...free.candidates] }],
    bounds(),
  ).map(({ id }) => id);
  assert.deepEqual(picked, [grouped.candidates[0]?.id, free.candidates[0]?.id]);
});

Deno.test("pickJobs() skips a paused project", () => {
  const isPaused = (project: string) => project === "a";
  assert.deepEqual(names([candidates("a", 2), candidates("b", 1)], bounds({ isPaused })), ["b"]);
});

Deno.test("rankOf() lets a waiting job overtake a later one of higher priority", () => {
  const old = makeJob({ createdAt: 0, spec: makeSpec({ priority: 0 }) });
  const at = (createdAt: number) => makeJob({ createdAt, spec: makeSpec({ priority: 9 }) });
  assert(rankOf(old, 1_000) > rankOf(at(8_999), 1_000));
  assert(rankOf(old, 1_000) < rankOf(at(9_001), 1_000));
});

const anyProjects = fc.uniqueArray(
  fc.record({
    name: fc.constantFrom("a", "b", "c", "d", "e"),
    running: fc.nat(3),
    max: fc.integer({ min: 1, max: 4 }),
    held: fc.boolean(),
    lastTurn: fc.nat(20),
    candidates: fc.array(
      fc.record({ rank: fc.integer(), group: fc.option(fc.constantFrom("x", "y")) }),
      {
        maxLength: 8,
      },
    ),
  }),
  { selector: ({ name }) => name },
);

Deno.test("pickJobs() never passes a bound, never starts two of a group, leaves no place unused", () => {
  fc.assert(fc.property(anyProjects, fc.nat(12), (wishes, maxRunning) => {
    const running = wishes.reduce((sum, wish) => sum + wish.running, 0);
    const byName = new Map(wishes.map((wish): [string, typeof wish] => [wish.name, wish]));
    const of = (project: string) => byName.get(project);
    const given = wishes.map((wish): ProjectCandidates => ({
      project: projectName(wish.name),
      running: wish.running,
      candidates: wish.candidates.map(({ rank, group }): Candidate => ({
        id: newJobId(),
        rank,
        ...(group === null ? {} : { group }),
      })),
    }));
    const picks = pickJobs(given, {
      running,
      maxRunning,
      inFlight: new Map(),
      maxProjects: 100,
      maxRunningOf: (project) => of(project)?.max ?? 0,
      isPaused: (project) => of(project)?.held ?? false,
      lastTurnOf: (project) => of(project)?.lastTurn ?? 0,
    });
    assert(picks.length <= Math.max(0, maxRunning - running));
    assert.equal(new Set(picks.map(({ id }) => id)).size, picks.length, "a job was picked twice");
    let couldStart = 0;
    for (const { project, candidates, running } of given) {
      const mine = new Set(picks.filter((pick) => pick.project === project).map(({ id }) => id));
      const max = of(project)?.max ?? 0;
      assert(mine.size === 0 || running + mine.size <= max);
      if (of(project)?.held) assert.equal(mine.size, 0);
      const groups = candidates.filter(({ id }) => mine.has(id)).map(({ group }) => group)
        .filter((group) => group !== undefined);
      assert.equal(new Set(groups).size, groups.length, "two of a group");
      const free = candidates.filter(({ id, group }) =>
        !mine.has(id) && (group === undefined || !groups.includes(group))
      );
      if (!of(project)?.held && running + mine.size < max && free.length > 0) couldStart++;
    }
    if (picks.length < maxRunning - running) assert.equal(couldStart, 0, "a place was left unused");
  }));
});

Deno.test("pickJobs() starves no project, however many jobs the others have", () => {
  fc.assert(fc.property(fc.integer({ min: 2, max: 6 }), (count) => {
    const lastTurn = new Map<string, number>();
    const seen = new Set<string>();
    for (let turn = 1; turn <= count; turn++) {
      const projects = Array.from({ length: count }, (_, index) => candidates(`p${index}`, 50));
      const [pick] = pickJobs(
        projects,
        bounds({ maxRunning: 1, lastTurnOf: (project) => lastTurn.get(project) ?? 0 }),
      );
      assert(pick !== undefined);
      lastTurn.set(pick.project, turn);
      seen.add(pick.project);
    }
    assert.equal(seen.size, count);
  }));
});
