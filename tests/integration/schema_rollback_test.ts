import assert from "node:assert/strict";
import { CicdError } from "@lib/core/errors.ts";
import { openDatabase } from "@lib/foundations/store/database.ts";
import {
  readSchema,
  readVersions,
  restoreSchema,
  type SchemaSnapshot,
} from "@lib/foundations/store/schema_rollback.ts";

const JOBS = `CREATE TABLE jobs (id TEXT NOT NULL PRIMARY KEY, state TEXT) STRICT;
CREATE TABLE sums (state TEXT NOT NULL PRIMARY KEY, n INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE INDEX jobs_state ON jobs (state);
CREATE TRIGGER jobs_summed AFTER INSERT ON jobs BEGIN INSERT INTO sums VALUES (new.state, 1)
  ON CONFLICT DO UPDATE SET n = n + 1; END;
`;
const MORE = "ALTER TABLE jobs ADD COLUMN note TEXT;\nCREATE TABLE notes (id TEXT) STRICT;\n";
const BEFORE = [{ name: "spine", migrations: [JOBS] }];
const AFTER = [{ name: "spine", migrations: [JOBS, MORE] }];

function setup() {
  const directory = Deno.makeTempDirSync({ prefix: "cicd-schema-" });
  const path = `${directory}/runner.db`;
  return {
    path,
    add(schemas: typeof BEFORE, ...ids: readonly string[]) {
      using db = openDatabase({ path, schemas });
      for (const id of ids) db.run("INSERT INTO jobs (id, state) VALUES (?, 'queued')", id);
    },
    rows(schemas: typeof BEFORE) {
      using db = openDatabase({ path, schemas });
      return {
        jobs: db.all("SELECT * FROM jobs ORDER BY rowid").map((row) => ({ ...row })),
        sums: db.all("SELECT * FROM sums").map((row) => ({ ...row })),
      };
    },
    snapshot(): SchemaSnapshot {
      const found = readSchema(path);
      assert.ok(found);
      return found;
    },
    [Symbol.dispose]: () => Deno.removeSync(directory, { recursive: true }),
  };
}

Deno.test("restoreSchema() gives the earlier program its tables, with the rows of the later one", () => {
  using t = setup();
  t.add(BEFORE, "b", "a");
  const before = t.snapshot();
  t.add(AFTER, "c");
  assert.deepEqual(readVersions(t.path), new Map([["spine", 2]]));
  assert.throws(
    () => t.rows(BEFORE),
    (error) => error instanceof CicdError && error.code === "store_newer",
  );
  assert.equal(restoreSchema(t.path, before), true);
  assert.deepEqual(t.snapshot(), before);
  const { jobs, sums } = t.rows(BEFORE);
  assert.deepEqual(jobs, ["b", "a", "c"].map((id) => ({ id, state: "queued" })));
  assert.deepEqual(sums, [{ state: "queued", n: 3 }]);
  // The later program can come back.
  t.add(AFTER, "d");
  assert.equal(t.rows(AFTER).jobs.length, 4);
});

Deno.test("restoreSchema() leaves a database alone whose tables have not changed", () => {
  using t = setup();
  t.add(BEFORE, "a");
  const before = t.snapshot();
  t.add(BEFORE, "b");
  const { ino } = Deno.statSync(t.path);
  assert.equal(restoreSchema(t.path, before), false);
  assert.equal(Deno.statSync(t.path).ino, ino);
});

Deno.test("restoreSchema() changes nothing where the rows no longer fit", () => {
  using t = setup();
  t.add(BEFORE, "a");
  const before = t.snapshot();
  const renamed = "ALTER TABLE jobs RENAME COLUMN state TO status;\n";
  t.add([{ name: "spine", migrations: [JOBS, renamed] }]);
  assert.throws(
    () => restoreSchema(t.path, before),
    (error) => error instanceof CicdError && error.code === "store_newer",
  );
  assert.deepEqual(readVersions(t.path), new Map([["spine", 2]]));
  const names = [...Deno.readDirSync(t.path.replace(/\/[^/]*$/, ""))].map(({ name }) => name);
  assert.deepEqual(names.filter((name) => name.includes("restored")), []);
});

Deno.test("readSchema() and readVersions() find no database where there is none", () => {
  using t = setup();
  assert.equal(readSchema(t.path), undefined);
  assert.equal(readVersions(t.path), undefined);
});
