/**
 * Finds the supervisor of an attempt, by the record that it made before it began the job.
 *
 * The record is in the job's reach, so it is believed only of a process that was started for the
 * attempt's directory. Asking a shell or `ps` would cost as much as a job, so this reads `/proc`.
 *
 * @module
 */
import { openRegular } from "@lib/foundations/files/regular_file.ts";

/** A supervisor's record, which a job may have forged. */
export interface SupervisorRecord {
  readonly pid: number;
  /** Distinguishes it from a later process with the same number. */
  readonly identity: string;
  readonly timerPid: number;
}

/** Longest part of a record that is read: three short lines. */
const RECORD_MAX_BYTES = 200;

/** Reads the record in an attempt's directory; `undefined` without a usable one. */
export function readSupervisor(directory: string): SupervisorRecord | undefined {
  const [first, identity = "", third] = readHead(`${directory}/supervisor`, RECORD_MAX_BYTES)
    .split("\n");
  const pid = parsePid(first);
  const timerPid = parsePid(third);
  if (pid === undefined || timerPid === undefined || identity === "") return undefined;
  return { pid, identity, timerPid };
}

/** A group or session of the numbers 0 and 1 would be every process of the account. */
function parsePid(text = ""): number | undefined {
  return /^[1-9]\d{0,9}$/.test(text) && text !== "1" ? Number(text) : undefined;
}

/** Tells if a process is there, whichever it is. */
export function isProcess(pid: number): boolean {
  return statOf(pid) !== undefined;
}

/** Tells if a record is of a living supervisor of an attempt's directory. */
export function isSupervisor({ pid, identity }: SupervisorRecord, directory: string): boolean {
  const stat = statOf(pid);
  if (stat === undefined || stat.state === "Z" || stat.startedAt !== identity) return false;
  const words = readProc(`${pid}/cmdline`).split("\0");
  // At last it is the program that puts the record of the end in place.
  return words.includes(directory) || words.includes(`${directory}/result`);
}

/** Asks the timer of a living supervisor to look if the attempt is to be stopped. */
export function wakeTimer({ pid, timerPid }: SupervisorRecord): void {
  if (statOf(timerPid)?.parent === pid) send(timerPid, "SIGTERM");
}

/** Continues a supervisor and its helpers, which the job may have stopped. */
export function continueSupervisor({ pid }: SupervisorRecord): void {
  continueTree(pid, HELPER_LEVELS);
}

/** The supervisor, its timer or the namespace, the first process of that, `setsid`. */
const HELPER_LEVELS = 4;

/** Leaves out the job, which is below `setsid` and may stop what it likes. */
function continueTree(pid: number, levels: number): void {
  const stat = statOf(pid);
  if (stat === undefined) return;
  if (stat.state === "T") send(pid, "SIGCONT");
  if (stat.name === "setsid" || levels === 1) return;
  for (const child of readProc(`${pid}/task/${pid}/children`).split(" ")) {
    if (child !== "") continueTree(Number(child), levels - 1);
  }
}

function send(pid: number, signal: Deno.Signal): void {
  try {
    Deno.kill(pid, signal);
  } catch (error) {
    // It has just ended.
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

interface ProcessStat {
  readonly name: string;
  readonly state: string;
  readonly parent: number;
  /** In ticks since the machine was booted. */
  readonly startedAt: string;
}

/** Reads the state of a process; `undefined` without one. */
function statOf(pid: number): ProcessStat | undefined {
  const text = readProc(`${pid}/stat`);
  const end = text.lastIndexOf(") ");
  if (end < 0) return undefined;
  const fields = text.slice(end + 2).split(" ");
  return {
    name: text.slice(text.indexOf("(") + 1, end),
    state: fields[0] ?? "",
    parent: Number(fields[1]),
    startedAt: fields[19] ?? "",
  };
}

/** Reads a file of `/proc`; empty if the process is gone, or of another account. */
function readProc(path: string): string {
  try {
    return Deno.readTextFileSync(`/proc/${path}`);
  } catch {
    return "";
  }
}

/** Reads the beginning of a file of a job; empty if there is no regular one. */
function readHead(path: string, bytes: number): string {
  try {
    using file = openRegular(path, { read: true });
    const buffer = new Uint8Array(bytes);
    const length = file?.readSync(buffer) ?? 0;
    return new TextDecoder().decode(buffer.subarray(0, length));
  } catch {
    // The directory is closed; whoever needs to open it does so.
    return "";
  }
}
