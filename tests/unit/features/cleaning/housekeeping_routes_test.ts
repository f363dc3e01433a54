import assert from "node:assert/strict";
import type { CleanReport } from "@lib/features/cleaning/housekeeper.ts";
import { housekeepingRoutes } from "@lib/features/cleaning/housekeeping_routes.ts";
import { openApi } from "../../../support/api_fixture.ts";

Deno.test("POST /v1/housekeeping passes on whether it is a dry run, and shows every item", async () => {
  const asked: boolean[] = [];
  const clean = ({ dryRun }: { readonly dryRun: boolean }): Promise<CleanReport> => {
    asked.push(dryRun);
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
    });
  };
  using api = openApi({
    replaced: { cleaning: () => ({ routes: housekeepingRoutes({ clean }) }) },
  });
  await api.ask("POST", "/v1/housekeeping");
  const response = await api.ask("POST", "/v1/housekeeping?dry_run=1");
  assert.deepEqual(asked, [false, true]);
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
  });
});
