import assert from "node:assert/strict";
import { parseProjectName } from "@lib/core/ids.ts";
import type { Programs } from "@lib/features/terminals/program.ts";
import { TerminalHost } from "@lib/features/terminals/terminal_host.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { silentLogger } from "../support/silent_logger.ts";

const ID = "0123456789ab";
const RECORD = {
  id: ID,
  by: "somebody",
  started_at: 0,
  command: "sh",
  columns: 80,
  rows: 24,
  device: "/dev/pts/9",
  recorded: false,
};

/** Takes over a directory with this record; returns the devices that were asked for. */
async function adopt(record: string | undefined) {
  const directory = await Deno.makeTempDir();
  await Deno.mkdir(`${directory}/${ID}`);
  if (record !== undefined) await Deno.writeTextFile(`${directory}/${ID}/record.json`, record);
  const asked: (string | undefined)[] = [];
  const programs: Programs = {
    outlivesAgent: true,
    start: () => Promise.reject(new Error("not here")),
    adopt(_, device) {
      asked.push(device);
      return Promise.resolve(undefined);
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
  const never = () => {
    throw new Error("not here");
  };
  const project = parseProjectName("web");
  assert.ok(project);
  await using host = new TerminalHost({
    project,
    programs,
    binding: { open: never, resize: never, process: never, fork: never },
    calls: { writeSome: never, writable: never, close: never },
    rules: never,
    programOf: never,
    directory,
    recordings: `${directory}/recordings`,
    clock: new FakeClock(),
    log: silentLogger,
  });
  await host.adopt(new AbortController().signal);
  const left = [...Deno.readDirSync(directory)].map(({ name }) => name);
  await Deno.remove(directory, { recursive: true });
  return { asked, left };
}

Deno.test("a terminal without a usable record is ended rather than left running unseen", async () => {
  assert.deepEqual(await adopt(JSON.stringify(RECORD)), { asked: ["/dev/pts/9"], left: [] });
  const records = [
    undefined,
    "{",
    JSON.stringify({ ...RECORD, columns: 1e9 }),
    JSON.stringify({ ...RECORD, rows: 0 }),
    JSON.stringify({ ...RECORD, id: "../../elsewhere" }),
  ];
  for (const record of records) {
    assert.deepEqual(await adopt(record), { asked: [undefined], left: [] }, record);
  }
});
