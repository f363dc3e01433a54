import assert from "node:assert/strict";
import { Backoff } from "@lib/core/backoff.ts";
import { CicdError } from "@lib/core/errors.ts";
import { newJobId } from "@lib/core/ids.ts";
import { ManagerLink } from "@lib/spine/executors/manager_link.ts";
import type { UnitManager } from "@lib/spine/executors/unit_manager.ts";
import { jobUnitName, type UnitName } from "@lib/foundations/systemd/unit_name.ts";
import { FakeClock } from "../../../support/fake_clock.ts";

/** A manager that knows which units are loaded. */
class FakeManager implements UnitManager {
  readonly #closed = Promise.withResolvers<void>();
  readonly #removed = new Set<(unit: UnitName) => void>();
  readonly #reloaded = new Set<() => void>();
  readonly loaded: Set<UnitName>;
  asked = 0;
  disposed = 0;

  constructor(loaded: Set<UnitName>) {
    this.loaded = loaded;
  }

  get closed() {
    return this.#closed.promise;
  }

  close() {
    this.#closed.resolve();
  }

  say(unit: UnitName) {
    for (const callback of this.#removed) callback(unit);
  }

  unitExists(unit: UnitName) {
    this.asked++;
    return Promise.resolve(this.loaded.has(unit));
  }

  onUnitRemoved(callback: (unit: UnitName) => void) {
    this.#removed.add(callback);
    return { [Symbol.dispose]: () => void this.#removed.delete(callback) };
  }

  onReloaded(callback: () => void) {
    this.#reloaded.add(callback);
    return { [Symbol.dispose]: () => void this.#reloaded.delete(callback) };
  }

  reload() {
    for (const callback of this.#reloaded) callback();
  }

  startTransientService(unit: UnitName) {
    this.loaded.add(unit);
    return Promise.resolve("started" as const);
  }

  controlGroup() {
    return Promise.resolve(undefined);
  }

  terminatingProcesses() {
    return Promise.resolve([]);
  }

  stopUnit() {
    return Promise.resolve();
  }

  setRuntimeProperties() {
    return Promise.resolve();
  }

  readLimits() {
    return Promise.resolve({});
  }

  readUsage() {
    return Promise.resolve({});
  }

  environmentNames() {
    return Promise.resolve([]);
  }

  [Symbol.asyncDispose]() {
    this.disposed++;
    return Promise.resolve();
  }
}

function setup() {
  const clock = new FakeClock();
  const loaded = new Set<UnitName>();
  const managers: FakeManager[] = [];
  const world = { away: false };
  const link = new ManagerLink({
    connect: () => {
      if (world.away) {
        return Promise.reject(new CicdError("systemd_unavailable", "Cannot connect: nobody home"));
      }
      const manager = new FakeManager(loaded);
      managers.push(manager);
      return Promise.resolve(manager);
    },
    clock,
    backoff: new Backoff({ firstMs: 100, maxMs: 1_000, random: () => 0 }),
  });
  const unit = jobUnitName({ jobId: newJobId(), number: 1 });
  const signal = new AbortController().signal;
  return {
    clock,
    loaded,
    managers,
    world,
    link,
    unit,
    signal,
    [Symbol.asyncDispose]: () => link[Symbol.asyncDispose](),
  };
}

/** Checks that a promise has settled by now. */
async function isDone(clock: FakeClock, promise: Promise<unknown>): Promise<boolean> {
  let done = false;
  void promise.then(() => done = true, () => done = true);
  await clock.tick(0);
  return done;
}

Deno.test("ManagerLink.use() connects once for all", async () => {
  await using t = setup();
  const [first, second] = await Promise.all([t.link.use(t.signal), t.link.use(t.signal)]);
  assert.equal(first, second);
  assert.equal(t.managers.length, 1);
});

Deno.test("ManagerLink.use() rejects while the manager is away", async () => {
  await using t = setup();
  t.world.away = true;
  await assert.rejects(t.link.use(t.signal), { code: "systemd_unavailable" });
});

Deno.test("ManagerLink.gone() resolves at once for a unit that is not loaded", async () => {
  await using t = setup();
  await t.link.gone(t.unit, t.signal);
});

Deno.test("ManagerLink.gone() believes the manager, not the signal", async () => {
  await using t = setup();
  t.loaded.add(t.unit);
  const gone = t.link.gone(t.unit, t.signal);
  await t.clock.tick(0);
  t.managers[0]?.say(t.unit);
  assert.equal(await isDone(t.clock, gone), false);
  t.loaded.delete(t.unit);
  t.managers[0]?.say(t.unit);
  await gone;
  assert.equal(t.clock.sleeping, 0);
});

Deno.test("ManagerLink.gone() does not ask for a unit that it started until its removal is announced", async () => {
  await using t = setup();
  assert.equal(await t.link.start(t.unit, [], t.signal), "started");
  const [manager] = t.managers;
  const gone = t.link.gone(t.unit, t.signal);
  await t.clock.tick(0);
  assert.equal(manager?.asked, 0);
  t.loaded.delete(t.unit);
  manager?.say(t.unit);
  await gone;
  assert.equal(manager?.asked, 1);
});

for (
  const [event, cause] of [
    ["its removal", (manager: FakeManager, unit: UnitName) => manager.say(unit)],
    ["a daemon-reload", (manager: FakeManager) => manager.reload()],
    ["the end of the connection", (manager: FakeManager) => manager.close()],
  ] as const
) {
  Deno.test(`ManagerLink.gone() asks for a unit that it started after ${event}`, async () => {
    await using t = setup();
    await t.link.start(t.unit, [], t.signal);
    t.loaded.delete(t.unit);
    const [manager] = t.managers;
    assert(manager !== undefined);
    cause(manager, t.unit);
    await t.clock.tick(0);
    await t.link.gone(t.unit, t.signal);
  });
}

Deno.test("ManagerLink.gone() asks again by itself in case a signal was lost", async () => {
  await using t = setup();
  t.loaded.add(t.unit);
  const gone = t.link.gone(t.unit, t.signal);
  await t.clock.tick(0);
  t.loaded.delete(t.unit);
  await t.clock.tick(30_000);
  await gone;
});

Deno.test("ManagerLink.gone() connects anew and looks again when the connection ends", async () => {
  await using t = setup();
  t.loaded.add(t.unit);
  const waits = [t.link.gone(t.unit, t.signal), t.link.gone(t.unit, t.signal)];
  await t.clock.tick(0);
  t.world.away = true;
  t.managers[0]?.close();
  await t.clock.tick(10_000);
  assert.match(t.link.unhealthyReason() ?? "", /nobody home/);
  assert.match(t.link.awayReason() ?? "", /^the service manager is away: .*nobody home/);
  assert.equal(t.managers[0]?.disposed, 1);
  t.loaded.delete(t.unit);
  t.world.away = false;
  await t.clock.tick(1_000);
  await Promise.all(waits);
  assert.equal(t.managers.length, 2);
  assert.equal(t.link.unhealthyReason(), undefined);
  assert.equal(t.link.awayReason(), undefined);
});

Deno.test("ManagerLink.gone() rejects with the reason of an abort", async () => {
  await using t = setup();
  t.loaded.add(t.unit);
  const controller = new AbortController();
  const reason = new Error("enough");
  const gone = t.link.gone(t.unit, controller.signal);
  await t.clock.tick(0);
  controller.abort(reason);
  await assert.rejects(gone, reason);
});

Deno.test("ManagerLink disposed disconnects and ends every wait", async () => {
  const t = setup();
  t.loaded.add(t.unit);
  const gone = t.link.gone(t.unit, t.signal);
  const rejected = assert.rejects(gone);
  await t.clock.tick(0);
  await t.link[Symbol.asyncDispose]();
  await rejected;
  assert.equal(t.managers[0]?.disposed, 1);
});
