import assert from "node:assert/strict";
import { raceAbort, withDeadline } from "@lib/core/abort.ts";
import { parseProjectName } from "@lib/core/ids.ts";
import type { Logger } from "@lib/core/logger.ts";
import type { RunningProgram } from "@lib/features/terminals/program.ts";
import { part } from "@lib/features/terminals/agent.ts";
import { Recording } from "@lib/features/terminals/recording.ts";
import { TerminalHost } from "@lib/features/terminals/terminal_host.ts";
import { loadConfig } from "@lib/foundations/config/load.ts";
import { SECTIONS } from "../../cmd/shared/config_sections.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { RecordingLogger } from "../support/recording_logger.ts";
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

/** Makes a host that has the records of a directory, and what `adopt` says is left of them. */
function hostOf(
  directory: string,
  adopt: (device: string | undefined) => RunningProgram | undefined,
  log: Logger = silentLogger,
): TerminalHost {
  const project = parseProjectName("web");
  assert.ok(project);
  const day = 86_400_000;
  return new TerminalHost({
    project,
    programs: {
      outlivesAgent: true,
      start: () => Promise.reject(new Error("not here")),
      adopt: (_, device) => Promise.resolve(adopt(device)),
      [Symbol.asyncDispose]: () => Promise.resolve(),
    },
    rules: () => ({
      isEnabled: true,
      idleMs: day,
      maxMs: day,
      maxSessions: 1,
      record: "never",
      recordMaxBytes: 0,
    }),
    programOf: () => Promise.reject(new Error("not here")),
    directory,
    recordings: `${directory}/recordings`,
    clock: new FakeClock(),
    log,
  });
}

/** Takes over a directory with this record; returns the devices that were asked for. */
async function adopt(record: string | undefined) {
  const directory = await Deno.makeTempDir();
  await Deno.mkdir(`${directory}/${ID}`);
  if (record !== undefined) await Deno.writeTextFile(`${directory}/${ID}/record.json`, record);
  const asked: (string | undefined)[] = [];
  await using host = hostOf(directory, (device) => void asked.push(device));
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

Deno.test("a terminal ends with its program, as soon as nobody else has it", async () => {
  const directory = await Deno.makeTempDir();
  await Deno.mkdir(`${directory}/${ID}`);
  await Deno.writeTextFile(`${directory}/${ID}/record.json`, JSON.stringify(RECORD));
  const closed = Promise.withResolvers<void>();
  const nothing = () => {};
  const program: RunningProgram = {
    device: RECORD.device,
    open: () => ({
      ended: closed.promise,
      unwritten: 0,
      pause: nothing,
      resume: nothing,
      write: () => Promise.resolve(),
      resize: nothing,
      closeSlave: nothing,
      [Symbol.dispose]: nothing,
    }),
    foreground: () => undefined,
    ended: Promise.resolve({ exitCode: 0, signal: null, isTimeLimit: false, isLost: false }),
    stop: () => Promise.resolve(),
    // The service manager has had it open, so that it has not ended.
    forget: () => Promise.resolve(closed.resolve()),
  };
  const ended = Promise.withResolvers<void>();
  await using host = hostOf(directory, () => program, {
    ...silentLogger,
    info: (message) => message === "Terminal ended" ? ended.resolve() : undefined,
  });
  await host.adopt(new AbortController().signal);
  // Time stands still: it waits for nothing.
  using deadline = withDeadline(new AbortController().signal, 60_000, "the end");
  await raceAbort(ended.promise, deadline);
  await Deno.remove(directory, { recursive: true });
});

Deno.test("a recording goes on in a file of its own, whatever stands in its place", async () => {
  const directory = await Deno.makeTempDir();
  const path = `${directory}/${ID}.cast`;
  await new Deno.Command("mkfifo", { args: [path] }).output();
  const why: string[] = [];
  const options = { maxBytes: 1_000, startedAt: 0, now: () => 0 };
  using recording = new Recording({ ...options, path, onStopped: (text) => why.push(text) });
  recording.output(new TextEncoder().encode("x"));
  assert.equal(await Deno.readTextFile(path), `[0,"o","x"]\n`);
  assert.deepEqual(why, []);
  await Deno.remove(directory, { recursive: true });
});

Deno.test("an agent whose terminals cannot be taken over starts nevertheless, and says so", async () => {
  const runtime = await Deno.makeTempDir();
  await Deno.mkdir(`${runtime}/cicd-toolkit/terminals/web/${ID}`, { recursive: true });
  const env = { HOME: runtime, XDG_RUNTIME_DIR: runtime };
  const flags = new Map<string, string>();
  const { config } = loadConfig({ sections: SECTIONS, home: runtime, env, cores: 2, flags });
  const project = parseProjectName("web");
  assert.ok(project);
  const log = new RecordingLogger();
  const descriptors = {
    kept: new Map<string, number>(),
    keepsDescriptors: false,
    keepDescriptor: () => Promise.resolve(),
    dropDescriptor: () => Promise.resolve(),
  };
  const agent = part({
    project,
    config: () => config,
    env,
    clock: new FakeClock(),
    log,
    // No release is there.
    libDir: `${runtime}/lib`,
    umask: 0o22,
    units: () => Promise.resolve(undefined),
    environmentOf: () => ({}),
    containerOf: () => Promise.resolve(undefined),
    descriptors,
    helperRunner: () => Promise.reject(new Error("not here")),
  });
  await agent.adopt?.(new AbortController().signal);
  assert.deepEqual(log.messages.map(({ message }) => message), [
    "Cannot take over the terminals of an earlier agent",
  ]);
  await agent[Symbol.asyncDispose]?.();
  await Deno.remove(runtime, { recursive: true });
});
