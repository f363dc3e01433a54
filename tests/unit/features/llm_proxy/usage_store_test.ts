import assert from "node:assert/strict";
import { parseProjectName } from "@lib/core/ids.ts";
import { USAGE_MIGRATIONS } from "@lib/features/llm_proxy/usage_schema.ts";
import { UsageStore } from "@lib/features/llm_proxy/usage_store.ts";
import { openDatabase } from "@lib/foundations/store/database.ts";

const DAY = 86_400_000;
const USAGE = {
  ts: 100 * DAY,
  provider: "openai",
  model: "gpt-4o",
  operation: "chat",
  inputTokens: 10,
  outputTokens: 5,
  cacheReadTokens: 2,
  cacheWriteTokens: 1,
  costUsd: 0.25,
};

function setup(keepMs = 30 * DAY) {
  const db = openDatabase({
    path: ":memory:",
    schemas: [{ name: "llm_proxy", migrations: USAGE_MIGRATIONS }],
  });
  return Object.assign(new UsageStore(db, () => keepMs), {
    db,
    [Symbol.dispose]: () => db[Symbol.dispose](),
  });
}

Deno.test("UsageStore sums up by day, provider, model and project", () => {
  using store = setup();
  store.add(USAGE);
  store.add({ ...USAGE, ts: USAGE.ts + 1, costUsd: undefined });
  store.add({ ...USAGE, project: "web" });
  store.add({ ...USAGE, ts: USAGE.ts + DAY });
  const shown = store.rows("1970-01-01", 10).map((row) =>
    [row.day, row.model, row.project, row.requests, row.unpriced, row.input, row.costUsd].join(" ")
  );
  assert.deepEqual(shown, [
    "1970-04-12 gpt-4o  1 0 10 0.25",
    "1970-04-11 gpt-4o  2 1 20 0.25",
    "1970-04-11 gpt-4o web 1 0 10 0.25",
  ]);
  assert.equal(store.rows("1970-04-12", 10).length, 1);
  assert.equal(store.rows("1970-01-01", 2).length, 2);
});

Deno.test("UsageStore hands out each record until it is marked as sent", () => {
  using store = setup();
  store.add(USAGE);
  store.add({ ...USAGE, model: "", costUsd: undefined, project: parseProjectName("web") ?? "" });
  const [first, second] = store.unsent(10);
  assert.deepEqual(second, {
    ...USAGE,
    id: 2,
    model: "",
    costUsd: 0,
    captureTier: "proxy",
    project: "web",
  });
  assert.deepEqual(store.unsent(1), [first]);
  store.markSent([1, 99]);
  assert.deepEqual(store.unsent(10), [second]);
  store.markSent([2]);
  store.add(USAGE);
  assert.deepEqual(store.unsent(10).map(({ id }) => id), [3], "no id is used twice");
});

Deno.test("UsageStore is bounded: rows of a day, days, and records to send", () => {
  using store = setup();
  store.db.transaction(() => {
    for (let n = 0; n < 1_000; n++) {
      store.db.run(
        "INSERT INTO llm_usage VALUES ('1970-04-11', 'openai', ?, '', 1, 0, 1, 1, 0, 0, 0)",
        `m${n}`,
      );
    }
    store.db.run(
      "INSERT INTO llm_usage SELECT '1970-01-02', provider, model, project, 1, 0, 1, 1, 0, 0, 0 FROM llm_usage LIMIT 1",
    );
    store.db.run(
      `INSERT INTO llm_unsent (id, ts, provider, model, project, operation, input, output,
      cache_read, cache_write, cost) VALUES (1, 0, '', '', '', '', 0, 0, 0, 0, 0), (10000, 0, '', '',
      '', '', 0, 0, 0, 0, 0)`,
    );
  });
  store.add({ ...USAGE, model: "new", project: "web" });
  store.add({ ...USAGE, model: "newer" });
  store.add({ ...USAGE, model: "m1" });
  const rows = store.rows("1970-01-01", 2_000);
  assert.equal(rows.length, 1_001, "the day that is too old is gone");
  const other = rows.find(({ model }) => model === "(other)");
  assert.deepEqual([other?.requests, other?.project], [2, ""]);
  assert.equal(rows.find(({ model }) => model === "m1")?.requests, 2);
  assert.deepEqual(store.unsent(9).map(({ id }) => id), [10_000, 10_001, 10_002, 10_003]);
});
