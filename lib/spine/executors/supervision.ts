/**
 * Finds the supervisor of an attempt, by the record that it made before it began the job.
 *
 * The record is in the job's reach, so it is believed only of a process that was started for the
 * attempt's directory. Asking a shell or `ps` would cost as much as a job, so this reads `/proc`;
 * macOS has none, so there it asks `ps`.
 *
 * @module
 */
import { existsSync } from "@lib/foundations/files/records.ts";
import { openRegular } from "@lib/foundations/files/regular_file.ts";

/** A supervisor's record, which a job may have forged. */
export interface SupervisorRecord {
  readonly pid: number;
  /** Distinguishes it from a later process with the same number. */
  readonly identity: string;
}

/** Longest part of a record that is read: two short lines. */
const RECORD_MAX_BYTES = 100;

/** Reads the record in an attempt's directory; `undefined` without a usable one. */
export function readSupervisor(directory: string): SupervisorRecord | undefined {
  const text = readHead(`${directory}/supervisor`, RECORD_MAX_BYTES);
  // A group or session of the numbers 0 and 1 would be every process of the account.
  const [, pid, identity] = /^([2-9]|[1-9]\d{1,9})\n(\d+)\n/.exec(text) ?? [];
  return identity === undefined ? undefined : { pid: Number(pid), identity };
}

/** Tells if a process is there, whichever it is. */
export function isProcess(pid: number): boolean {
  return statOf(pid) !== undefined;
}

/** Tells if a record is of a living supervisor of an attempt's directory. */
export function isSupervisor({ pid, identity }: SupervisorRecord, directory: string): boolean {
  const stat = statOf(pid);
  if (stat === undefined || stat.state === "Z" || stat.startedAt !== identity) return false;
  return isOf(pid, directory);
}

/** Asks the timer of a living supervisor to look if the attempt is to be stopped. */
export function wakeTimer(supervisor: SupervisorRecord, directory: string): void {
  remindTimer(supervisor, directory);
  const { pid } = supervisor;
  // The kernel lists no children: the group is asked, and with it the job. So is it without /proc.
  if (!existsSync(`/proc/self/task/${Deno.pid}/children`)) send(-pid, "SIGTERM");
}

/**
 * Asks the timer again, and nobody else: the kernel's list of children may leave one out while
 * another exits.
 */
export function remindTimer(supervisor: SupervisorRecord, directory: string): void {
  const timer = timerOf(supervisor, directory);
  if (timer !== undefined) send(timer, "SIGTERM");
}

/** Tells if a living supervisor has its timer, which the job may have killed. */
export function hasTimer(supervisor: SupervisorRecord, directory: string): boolean {
  return timerOf(supervisor, directory) !== undefined;
}

/** Ends a supervisor that does not end by itself. */
export function killSupervisor({ pid }: SupervisorRecord): void {
  send(pid, "SIGKILL");
}

/**
 * Returns the timer, the copy of the supervisor that catches SIGHUP. Its other copies run the job or
 * find what is left of it, and would be ended by SIGTERM.
 */
function timerOf({ pid }: SupervisorRecord, directory: string): number | undefined {
  return childrenOf(pid).find((child) => isOf(child, directory) && catchesHangup(child));
}

function catchesHangup(pid: number): boolean {
  return /^SigCgt:\t[\da-f]*[13579bdf]$/m.test(readProc(`${pid}/status`));
}

/** Tells if a process was started for an attempt's directory. */
function isOf(pid: number, directory: string): boolean {
  const words = hasProc()
    ? readProc(`${pid}/cmdline`).split("\0")
    : askPs(pid, "command").split(" ");
  // At last it is the program that puts the record of the end in place.
  return words.includes(directory) || words.includes(`${directory}/result`);
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
  for (const child of childrenOf(pid)) continueTree(child, levels - 1);
}

function childrenOf(pid: number): readonly number[] {
  return readProc(`${pid}/task/${pid}/children`).split(" ").filter((text) => text !== "")
    .map(Number);
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
  /** In ticks since the machine was booted; without `/proc`, the digits of the date. */
  readonly startedAt: string;
}

/** Reads the state of a process; `undefined` without one. */
function statOf(pid: number): ProcessStat | undefined {
  if (!hasProc()) {
    const [state = "", ...startedAt] = askPs(pid, "stat", "lstart").split(/\s+/);
    // As the supervisor records it.
    const identity = startedAt.join("").replaceAll(/\D/g, "");
    return identity === "" ? undefined : { name: "", state: state.charAt(0), startedAt: identity };
  }
  const text = readProc(`${pid}/stat`);
  const end = text.lastIndexOf(") ");
  if (end < 0) return undefined;
  const fields = text.slice(end + 2).split(" ");
  return {
    name: text.slice(text.indexOf("(") + 1, end),
    state: fields[0] ?? "",
    startedAt: fields[19] ?? "",
  };
}

function hasProc(): boolean {
  return Deno.build.os === "linux";
}

/** Asks `ps` for columns of a process; empty if it is gone. */
function askPs(pid: number, ...columns: readonly string[]): string {
  const { stdout } = new Deno.Command("/bin/ps", {
    args: ["-ww", ...columns.flatMap((column) => ["-o", `${column}=`]), "-p", String(pid)],
    env: { LC_ALL: "C", TZ: "UTC0" },
    stdin: "null",
    stderr: "null",
  }).outputSync();
  return new TextDecoder().decode(stdout).trim();
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
export function readHead(path: string, bytes: number): string {
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
