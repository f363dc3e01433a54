/**
 * `deno task record`: records a new user's first minutes on the installed build.
 *
 * Boots a machine with a real systemd, so it needs what the system tests need. The commands are
 * those of the README, typed into a terminal; all times are as they were.
 *
 * @module
 */
import {
  bootNewMachine,
  COLUMNS,
  FIRST_COMMANDS,
  openFirstTerminal,
  ROWS,
  typeFirst,
} from "../tests/support/first_minutes.ts";
import { whyNoMachines } from "../tests/support/suite.ts";
import { type RecordedEvent, type Recording, writeCast } from "./record/cast.ts";
import { drawRecording } from "./record/svg.ts";

const FILE = new URL("../docs/img/first-minutes", import.meta.url).pathname;
/** As a quick typist. */
const KEY_MS = 25;

async function main(): Promise<number> {
  const reason = await whyNoMachines();
  if (reason !== undefined) {
    console.error(`Cannot record: ${reason}`);
    return 69;
  }
  const recording = await record();
  await Deno.writeTextFile(`${FILE}.cast`, writeCast(recording));
  await Deno.writeTextFile(`${FILE}.svg`, drawRecording(recording));
  console.log(`Recorded ${FIRST_COMMANDS.length} commands to ${FILE}.cast and .svg`);
  return 0;
}

async function record(): Promise<Recording> {
  await using first = await bootNewMachine();
  await using terminal = await openFirstTerminal(first.machine, KEY_MS);
  const marks: RecordedEvent[] = [];
  for (const command of FIRST_COMMANDS) {
    marks.push({ atMs: terminal.nowMs, kind: "m", text: command.text });
    await typeFirst(terminal, command);
  }
  const shown = terminal.output.map(({ atMs, text }) => ({ atMs, kind: "o", text }) as const);
  return {
    columns: COLUMNS,
    rows: ROWS,
    title: "The first minutes with cicd-toolkit",
    events: [...shown, ...marks].sort((one, other) => one.atMs - other.atMs),
  };
}

if (import.meta.main) Deno.exitCode = await main();
