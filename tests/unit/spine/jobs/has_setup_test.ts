import assert from "node:assert/strict";
import { hasSetup, type JobSpec } from "@lib/spine/spec/job_spec.ts";
import { makeContainer, makeSpec } from "../../../support/job_fixtures.ts";

const git = {
  url: "https://example.org/app.git",
  depth: 1,
  submodules: false,
  lfs: false,
  path: ".",
} as const;
const container = makeContainer();

Deno.test("hasSetup() is true of a job with something to do before it begins", () => {
  const specs: readonly Partial<JobSpec>[] = [
    { git },
    { container },
    { files: [{ path: "a", content: "", executable: false }] },
    { caches: [{ name: "npm", paths: [".npm"], keyFiles: [] }] },
  ];
  for (const spec of specs) assert.ok(hasSetup(makeSpec(spec)), Object.keys(spec).join());
});

Deno.test("hasSetup() is false where nothing is written before the job", () => {
  for (
    const spec of [
      {},
      { files: [], caches: [] },
      { artifacts: { paths: ["dist"], when: "always" } },
    ] as const
  ) assert.ok(!hasSetup(makeSpec(spec)));
});
