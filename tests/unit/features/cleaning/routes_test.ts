import assert from "node:assert/strict";
import type {
  Clean,
  CleanedItem,
  CleanReport,
  CleanRequest,
} from "@lib/features/cleaning/cleaner.ts";
import { cleaningRoutes } from "@lib/features/cleaning/routes.ts";
import { openApi } from "../../../support/api_fixture.ts";

function openApiWith(clean: Clean) {
  return openApi({ replaced: { cleaning: () => ({ routes: cleaningRoutes({ clean }) }) } });
}

Deno.test("POST /v1/housekeeping passes on whether it is a dry run, and shows every item", async () => {
  const asked: CleanRequest[] = [];
  const clean = (request: CleanRequest): Promise<CleanReport> => {
    const { dryRun } = request;
    asked.push(request);
    return Promise.resolve({
      dryRun,
      items: [{
        kind: "mirror",
        key: "/secret/path",
        name: "web/abc.git",
        project: "web",
        bytes: 5,
        lastUsedAt: 0,
        inUse: false,
        cause: "age",
        outcome: "kept",
        detail: "a checkout is using it",
      }],
      skipped: ["Images were left alone"],
      freeBytesBefore: 1,
      freeBytesAfter: 2,
      remains: {
        items: [{ path: "projects/web/workspaces/.gone-1", reason: "busy", since: 1_000 }],
        count: 1,
      },
    });
  };
  using api = openApiWith(clean);
  await api.ask("POST", "/v1/housekeeping");
  const response = await api.ask("POST", "/v1/housekeeping?dry_run=1");
  assert.deepEqual(asked, [{ dryRun: false, scope: "all" }, { dryRun: true, scope: "all" }]);
  assert.deepEqual(await response.json(), {
    dry_run: true,
    items: [{
      kind: "mirror",
      name: "web/abc.git",
      project: "web",
      bytes: 5,
      last_used_at: "1970-01-01T00:00:00.000Z",
      cause: "age",
      outcome: "kept",
      detail: "a checkout is using it",
    }],
    skipped: ["Images were left alone"],
    free_bytes_before: 1,
    free_bytes_after: 2,
    remains: {
      count: 1,
      items: [{
        path: "projects/web/workspaces/.gone-1",
        reason: "busy",
        since: "1970-01-01T00:00:01.000Z",
      }],
    },
  });
});

function item(changes: Partial<CleanedItem>): CleanedItem {
  return {
    kind: "job",
    key: "j1",
    name: "j1",
    project: "web",
    bytes: 8_192,
    logBytes: 5,
    lastUsedAt: 0,
    inUse: false,
    cause: "age",
    outcome: "removed",
    ...changes,
  };
}

function reportOf(items: readonly CleanedItem[], dryRun: boolean): CleanReport {
  const remains = { items: [], count: 0 };
  return { dryRun, items, skipped: [], freeBytesBefore: 1, freeBytesAfter: 2, remains };
}

Deno.test("the routes of retention give the jobs of the plan, in the form they always had", async () => {
  const asked: CleanRequest[] = [];
  const items = [item({}), item({ key: "j2", outcome: "kept" }), item({ kind: "cache" })];
  using api = openApiWith((request) => {
    asked.push(request);
    return Promise.resolve(reportOf(items, request.dryRun));
  });
  const removals = [
    {
      id: "j1",
      project: "web",
      finished_at: "1970-01-01T00:00:00.000Z",
      log_bytes: 5,
      cause: "age",
    },
  ];
  assert.deepEqual(await (await api.ask("GET", "/v1/retention")).json(), { removals });
  assert.deepEqual(await (await api.ask("POST", "/v1/retention/sweep")).json(), { removals });
  assert.deepEqual(asked, [
    { dryRun: true, scope: "history" },
    { dryRun: false, scope: "history" },
  ]);
});

Deno.test("POST /v1/retention/sweep fails if something could not be removed", async () => {
  const items = [item({}), item({ name: "j2", outcome: "failed", detail: "busy" })];
  using api = openApiWith(({ dryRun }) => Promise.resolve(reportOf(items, dryRun)));
  const response = await api.ask("POST", "/v1/retention/sweep");
  assert.equal(response.status, 500);
  const problem = await response.json();
  assert.equal(problem.code ?? problem.error?.code, "io_failed");
});
