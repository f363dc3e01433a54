import assert from "node:assert/strict";
import { updateDocument } from "../../../bench/document.ts";
import { ROW_NAMES, type RowName } from "../../../bench/rows.ts";
import type { RunReport } from "../../../bench/table.ts";

const DOCUMENT = `# Benchmarks

<!-- Generated results: with a command -->
old table
<!-- End of results -->

Between.

<!-- Generated timelines: with a command -->
old picture
<!-- End of timelines -->
`;

const TIMELINE = {
  name: "warm job",
  untracedUs: 900,
  tracedUs: 1_000,
  points: [{ what: "writes the first byte", who: "client", atUs: 0 }],
  missing: [],
} as const;

function report(names: readonly RowName[], isTraced: boolean): RunReport {
  return {
    host: { date: "2026-01-02T03:04:05Z", cpus: "2" },
    quick: false,
    names,
    rows: [],
    timelines: isTraced ? [TIMELINE] : [],
    skipped: [],
    failed: 0,
    seconds: {},
  };
}

Deno.test("updateDocument() replaces both blocks with a whole run, and writes its pictures", () => {
  const files = updateDocument(DOCUMENT, report(ROW_NAMES, true));
  const [page] = files;
  assert.deepEqual(files.map(({ path }) => path), [
    "docs/benchmarks.md",
    "docs/img/benchmarks.svg",
    "docs/img/timeline-warm.svg",
  ]);
  assert.match(page?.text ?? "", /- date: 2026-01-02[\s\S]*Between\.[\s\S]*### A warm job/);
  assert.doesNotMatch(page?.text ?? "", /old/);
  assert.equal(updateDocument(page?.text ?? "", report(ROW_NAMES, true))[0]?.text, page?.text);
});

Deno.test("updateDocument() replaces the timelines alone with a run of that row", () => {
  const [page] = updateDocument(DOCUMENT, report(["timeline"], true));
  assert.match(
    page?.text ?? "",
    /old table[\s\S]*Measured on 2026-01-02[\s\S]*!\[warm job\]\(img\/timeline-warm\.svg\)/,
  );
});

Deno.test("updateDocument() refuses some rows only, and a page without marks", () => {
  assert.throws(() => updateDocument(DOCUMENT, report(["start"], false)), /without all rows/);
  assert.throws(() => updateDocument("", report(["timeline"], true)), /no marks for its timelines/);
});
