/**
 * `deno task record`: records a new user's first minutes on the installed build, and with the word
 * `top` a look at a busy machine.
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

const IMAGES = new URL("../docs/img", import.meta.url).pathname;
/** As a quick typist. */
const KEY_MS = 25;

async function main(): Promise<number> {
  const reason = await whyNoMachines();
  if (reason !== undefined) {
    console.error(`Cannot record: ${reason}`);
    return 69;
  }
  const isTop = Deno.args.includes("top");
  const recording = isTop ? await recordTop() : await record();
  const file = `${IMAGES}/${isTop ? "top" : "first-minutes"}`;
  await Deno.writeTextFile(`${file}.cast`, writeCast(recording));
  await Deno.writeTextFile(`${file}.svg`, drawRecording(recording));
  console.log(`Recorded ${file}.cast and .svg`);
  return 0;
}

/** Commands that keep the machine busy. */
const BUSY = [
  "./cicd-toolkit/install.sh",
  "export PATH=~/.local/bin:$PATH",
  "cicd-runner submit -p web --limit-cpu 1 -- sh -c 'while :; do :; done'",
  "cicd-runner submit -p web --limit-memory 2G -- sh -c 'x=$(yes | head -c 90M); sleep 600'",
  "cicd-runner submit -p api -- sleep 600",
  "sleep 4",
  "clear",
];

async function recordTop(): Promise<Recording> {
  await using first = await bootNewMachine();
  await using terminal = await openFirstTerminal(first.machine);
  for (const text of BUSY) await typeFirst(terminal, { text });
  const begun = terminal.output.length;
  const beganMs = terminal.nowMs;
  const text = "cicd-runner top --once";
  await typeFirst(terminal, { text });
  const shown = terminal.output.slice(begun).map(({ atMs, text }) =>
    ({ atMs: atMs - beganMs, kind: "o", text }) as const
  );
  return {
    columns: COLUMNS,
    rows: ROWS,
    title: "cicd-runner top on a busy machine",
    events: [{ atMs: 0, kind: "m", text }, ...shown],
  };
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
