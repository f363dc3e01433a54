import assert from "node:assert/strict";
import { GrytLedger } from "@lib/features/gryt/ledger.ts";
import { OutboxStore } from "@lib/features/gryt/outbox_store.ts";
import { JobStore } from "@lib/spine/queue/job_store.ts";
import { makeJob, makeSpec, projectName } from "../support/job_fixtures.ts";
import { openLongHistory, planOf, recordStatements } from "../support/long_history.ts";

const LIB = new URL("../../lib", import.meta.url).pathname;

/** Tables that are as long as the history, or the queue; the others have a row a project or key. */
const LONG =
  /\b(jobs|open|group_heads|attempts|job_labels|large_specs|idempotency_keys|gryt_jobs|gryt_outbox)\b/;

/** Indices that hold only jobs under way. */
const SHORT_INDEX = /USING (COVERING )?INDEX (jobs_open|jobs_in_group)\b/;

/** Columns that few rows have in common. */
const FEW_ROWS = /\b(id|job_id|key|gryt_id|concurrency_group)=\?/;

/** Statements that may walk, by their beginning. */
const WALKS: ReadonlyMap<string, string> = new Map([
  ["SELECT id, rank, concurrency_group FROM ( SELECT", "attempts that are due start first"],
  ["SELECT count(*) AS n FROM jobs INDEXED BY jobs_plain", "a place far from the end is counted"],
  ["SELECT count(*) AS n FROM jobs INDEXED BY jobs_held", "the same"],
  ["SELECT job_id, gryt_id, lease_ms FROM jobs", "open jobs only, and a pulling runner has few"],
  ["SELECT job_id, granted FROM client_leases", "once, at the start: open jobs of clients"],
  ["SELECT min(next_at) AS at FROM gryt_outbox", "deliveries that are not made yet"],
  ["SELECT count(*) AS n FROM gryt_outbox", "deliveries that are not made yet"],
  ["SELECT count(*) AS n FROM jobs WHERE sealed_secrets", "once, at the start: the key may be new"],
]);

Deno.test("no statement walks the jobs of a project, or all of them, at 100,000 queued and ended", () => {
  using long = openLongHistory(100_000);
  const literals = statementsIn(LIB);
  using db = recordStatements(long);
  drive(db);
  const composed = [...db.statements].map(flat);
  for (const { text, isWhole } of literals) {
    const isSeen = isWhole || composed.some((sql) => sql.startsWith(text));
    assert(isSeen, `drive() never runs: ${text}`);
  }
  const whole = literals.filter(({ isWhole }) => isWhole).map(({ text }) => text);
  const used = new Set<string>();
  for (const sql of new Set([...whole, ...composed])) {
    if (/^(BEGIN|PRAGMA)/.test(sql)) continue;
    const [start] = [...WALKS].find(([start]) => sql.startsWith(start)) ?? [];
    const walks = walksOf(planOf(long, sql), sql);
    if (start === undefined) assert.deepEqual(walks, [], sql);
    else if (walks.length > 0) used.add(start);
  }
  assert.deepEqual([...WALKS.keys()].filter((start) => !used.has(start)), [], "no longer needed");
});

/** Returns the steps of a plan that may read more rows than the statement returns. */
function walksOf(plan: readonly string[], sql: string): readonly string[] {
  const isSorted = plan.includes("USE TEMP B-TREE FOR ORDER BY");
  const isBounded = sql.includes(" LIMIT ") && !isSorted &&
    !/^SELECT count\(\*\) AS n FROM (?!\()/.test(sql);
  const isFirst = (step: string) => {
    const found = /^SEARCH \w+ USING COVERING INDEX \w+(?: \((\w+)>\?\))?$/.exec(step);
    if (found === null || sql.includes("JOIN")) return false;
    return found[1] === undefined || sql.includes(`min(${found[1]})`);
  };
  const filters = [...sql.matchAll(/\b(project|state) = \?/g)].map(([, column]) => `${column}=?`);
  return plan.filter((step, level) => {
    if (!/^(SCAN|SEARCH) /.test(step) || !LONG.test(step.split(" USING ")[0] ?? "")) return false;
    if (SHORT_INDEX.test(step) || FEW_ROWS.test(step) || isFirst(step)) return false;
    // An inner loop runs for each row of the outer one.
    const isInner = sql.includes("JOIN") && level > 0;
    return isInner || !(isBounded && filters.every((filter) => step.includes(filter)));
  });
}

interface Literal {
  readonly text: string;
  /** Nothing is put into it at run time. */
  readonly isWhole: boolean;
}

/** Returns all statements in the text of the modules below a directory. */
function statementsIn(path: string): readonly Literal[] {
  return [...Deno.readDirSync(path)].flatMap(({ name, isDirectory }) => {
    if (isDirectory) return statementsIn(`${path}/${name}`);
    if (!name.endsWith(".ts")) return [];
    const text = Deno.readTextFileSync(`${path}/${name}`);
    const start = "(?:SELECT |INSERT (?:OR \\w+ )?INTO |UPDATE \\w+ SET |DELETE FROM )";
    const found = text.matchAll(new RegExp(`(["\`])(${start}[^]*?)(?:\\1|\\$\\{)`, "g"));
    return [...found].map(([all, quote = "", sql = ""]) => ({
      text: flat(sql),
      isWhole: all.endsWith(quote),
    }));
  });
}

function flat(sql: string): string {
  return sql.replace(/\s+/g, " ").trim();
}

/** Runs each statement that is put together at run time, in all its forms. */
function drive(db: ReturnType<typeof recordStatements>): void {
  const store = new JobStore({ db, ageingMs: 60_000, onChange() {} });
  const [web, mobile] = [projectName("p1"), projectName("p2")];
  const team = ["team", "core"] as const;
  for (const projects of [undefined, [web], [web, mobile]]) {
    store.findByPrefix("0000", projects);
    for (const states of [undefined, ["queued"], ["failed"], ["queued", "succeeded"]] as const) {
      for (const labels of [undefined, [team], [team, team]]) {
        store.list({
          limit: 20,
          ...(projects === undefined ? {} : { projects }),
          ...(states === undefined ? {} : { states }),
          ...(labels === undefined ? {} : { labels }),
        });
      }
    }
  }
  const [newest] = store.list({ states: ["queued"], limit: 1 }).jobs;
  if (newest !== undefined) store.position(newest);
  store.candidates(1e6, 8);
  store.inFlight();
  store.ended({ after: undefined, limit: 1 });
  const spec = makeSpec({ project: web, concurrencyGroup: "deploy", cancelInProgress: true });
  store.insert({ job: makeJob({ spec: { ...spec, concurrencyGroup: "other" } }) });
  const outbox = new OutboxStore(db);
  outbox.due(1, 1);
  outbox.nextAt();
  outbox.pending();
  new GrytLedger(db).leased();
}
