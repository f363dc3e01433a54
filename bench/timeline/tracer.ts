/**
 * The kernel's own tracer (`tracefs`), in an instance of its own: the scheduler, control groups,
 * a few system calls, and by probes in the C library what programs open, write and send.
 *
 * An event costs about a microsecond, against some fifty with `strace`.
 *
 * @module
 */
import { functionOffsets } from "./elf_symbols.ts";
import { parseTrace, type TraceEvent } from "./trace_events.ts";

const TRACING = "/sys/kernel/tracing";
const NAME = "cicd_bench";
const BUFFER_KIB = 16_384;

/** Functions of the C library and what is read of their arguments. */
const PROBES = {
  open64: "path=+0(%di):string",
  openat64: "path=+0(%si):string",
  rename: "path=+0(%si):string",
  write: "count=%dx:u64 text=+0(%si):string",
  send: "count=%dx:u64 head=+0(%si):x32 text=+0(%si):string",
  sendto: "count=%dx:u64 text=+0(%si):string",
  sendmsg: "head=+0(+0(+16(%si))):x32",
} as const;

const EVENTS = [
  NAME,
  "sched/sched_process_fork",
  "sched/sched_process_exec",
  "sched/sched_process_exit",
  "sched/sched_process_wait",
  "cgroup/cgroup_attach_task",
  ...["fsync", "fdatasync"].flatMap((call) =>
    [call, call].map((name, at) => `syscalls/sys_${at === 0 ? "enter" : "exit"}_${name}`)
  ),
  "syscalls/sys_enter_listen",
] as const;

/** Calls whose end is of interest if they have read so much: a message, not a byte of a file. */
const READS = ["recvfrom", "recvmsg"] as const;
const MIN_READ = 16;

/** Records what processes do. Disposing takes everything out of the kernel again. */
export class Tracer implements AsyncDisposable {
  readonly #directory = `${TRACING}/instances/${NAME}`;
  readonly #marker: Deno.FsFile;

  private constructor(marker: Deno.FsFile) {
    this.#marker = marker;
  }

  /**
   * Prepares the kernel.
   *
   * @param library The C library of the processes.
   * @throws {Error} If the kernel cannot be traced here.
   */
  static async open(library: string): Promise<Tracer> {
    if (Deno.build.arch !== "x86_64") throw new Error("the probes are written for x86_64");
    await mountTracing();
    await removeOurs();
    const offsets = functionOffsets(await Deno.readFile(library), Object.keys(PROBES));
    await Deno.mkdir(`${TRACING}/instances/${NAME}`);
    for (const [name, args] of Object.entries(PROBES)) {
      const at = offsets.get(name)?.toString(16);
      await control(`${TRACING}/uprobe_events`, `p:${NAME}/${name} ${library}:0x${at} ${args}`);
    }
    const path = `${TRACING}/instances/${NAME}`;
    await control(`${path}/tracing_on`, "0");
    await control(`${path}/trace_clock`, "mono");
    await control(`${path}/options/event-fork`, "1");
    await control(`${path}/buffer_size_kb`, String(BUFFER_KIB));
    for (const call of READS) {
      await control(`${path}/events/syscalls/sys_exit_${call}/filter`, `ret >= ${MIN_READ}`);
    }
    return new Tracer(await Deno.open(`${path}/trace_marker`, { write: true }));
  }

  /** Records the threads and all that they start from now on. */
  async start(tids: readonly number[]): Promise<void> {
    await this.#set("set_event_pid", tids.join(" "));
    for (const event of EVENTS) await this.#set(`events/${event}/enable`, "1");
    for (const call of READS) await this.#set(`events/syscalls/sys_exit_${call}/enable`, "1");
    await this.#set("trace", "");
    await this.#set("tracing_on", "1");
  }

  /** Puts a word into the record. */
  mark(word: string): void {
    this.#marker.writeSync(new TextEncoder().encode(word));
  }

  /** Ends the recording; the processes are then as fast as before. */
  async stop(): Promise<readonly TraceEvent[]> {
    await this.#set("tracing_on", "0");
    await this.#set("events/enable", "0");
    const bytes = await Deno.readFile(`${this.#directory}/trace`);
    return parseTrace(new TextDecoder().decode(bytes));
  }

  async #set(file: string, text: string): Promise<void> {
    await control(`${this.#directory}/${file}`, text);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#marker.close();
    await removeOurs();
  }
}

/** @throws {Error} If the kernel has no tracer, or does not let us have it. */
async function mountTracing(): Promise<void> {
  if (await isThere(`${TRACING}/instances`)) return;
  const mount = new Deno.Command("mount", { args: ["-t", "tracefs", "tracefs", TRACING] });
  const { success, stderr } = await mount.output();
  if (success) return;
  throw new Error(`Cannot mount tracefs: ${new TextDecoder().decode(stderr).trim()}`);
}

/** Removes the instance and the probes, also those of a run that was killed. */
async function removeOurs(): Promise<void> {
  if (await isThere(`${TRACING}/instances/${NAME}`)) {
    await Deno.remove(`${TRACING}/instances/${NAME}`);
  }
  const probes = await Deno.readTextFile(`${TRACING}/uprobe_events`);
  for (const [, name] of probes.matchAll(new RegExp(`^p:(${NAME}/\\w+) `, "gm"))) {
    await control(`${TRACING}/uprobe_events`, `-:${name}`);
  }
}

/** The kernel takes one command for each write, without truncation where others have theirs. */
async function control(path: string, text: string): Promise<void> {
  const append = path === `${TRACING}/uprobe_events`;
  using file = await Deno.open(path, append ? { append } : { write: true, truncate: true });
  try {
    await file.write(new TextEncoder().encode(`${text}\n`));
  } catch (error) {
    throw new Error(`Cannot write "${text.slice(0, 120)}" to ${path}`, { cause: error });
  }
}

async function isThere(path: string): Promise<boolean> {
  try {
    await Deno.stat(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
