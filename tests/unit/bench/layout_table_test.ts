import assert from "node:assert/strict";
import { layoutTable } from "../../../bench/layouts/layout_table.ts";

Deno.test("layoutTable() shows the least times, and says why a layout has none", () => {
  const start = (firstByteMs: number, residentMiB: number) => ({
    firstByteMs,
    cpuMs: 2 * firstByteMs,
    residentBytes: residentMiB * 1024 ** 2,
  });
  const measured = {
    bytes: 123_450_000,
    packedBytes: 45_600_000,
    cold: [start(500, 60), start(400, 61)],
    warm: [start(150, 50), start(140, 52), start(145, 51)],
  };
  const lines = layoutTable([
    { layout: "shared-runtime", found: measured },
    { layout: "executable", found: { skipped: "denort is not cached" } },
  ]);
  const cells = (line = "") => line.split("|").map((cell) => cell.trim()).filter((c) => c !== "");
  assert.deepEqual(cells(lines[2]), [
    "shared-runtime",
    "123.5 MB",
    "45.6 MB",
    "400 ms",
    "140 ms",
    "800 ms",
    "280 ms",
    "51 MiB",
  ]);
  assert.deepEqual(new Set(cells(lines[3]).slice(1)), new Set(["SKIPPED"]));
  assert.equal(lines.at(-1), "SKIPPED executable: denort is not cached");
});
