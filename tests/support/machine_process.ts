/**
 * Programs inside a test machine.
 *
 * They enter all namespaces of the machine's first process, in a session and
 * a cgroup of their own, without a terminal, with a clean environment.
 *
 * @module
 */
import { withDeadline } from "@lib/core/abort.ts";
import { ignore } from "@lib/core/errors.ts";
import {
  type Finished,
  killCgroup,
  killProcess,
  readIfThere,
  removeCgroup,
} from "./machine_host.ts";

/** The account a program runs under. */
export interface MachineAccount {
  readonly name: string;
  readonly uid: number;
  readonly home: string;
}

/** Options for a program inside a machine. */
export interface SpawnOptions {
  /** The account's name. @default {"root"} */
  readonly user?: string;
  /** Added to `HOME`, `PATH`, the user bus and so on; `undefined` takes one away. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** @default {the account's home} */
  readonly cwd?: string;
  /** `null`: empty; `piped`: by the caller through {@linkcode MachineProcess.stdin}. */
  readonly stdin?: "null" | "piped";
}

/** Options for a program that is waited for. */
export interface ExecOptions extends Omit<SpawnOptions, "stdin"> {
  /** The whole standard input. @default {""} */
  readonly stdin?: string;
  /** The program and all its children are killed after this. @default {60_000} */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

/** Where {@linkcode spawnInside} runs a program. */
export interface MachineEntry {
  /** The machine's first process, as the host numbers it. */
  readonly initPid: number;
  /** A cgroup v2 directory of the machine to make the program's own group in. */
  readonly cgroup: string;
  readonly account: MachineAccount;
}

/** Bytes of each output stream that {@linkcode collect} keeps: the last ones. */
const OUTPUT_MAX_BYTES = 8 * 1024 * 1024;

/** A program that runs inside a machine. Disposing kills it and all its children. */
export class MachineProcess implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #cgroup: string;
  #ended = false;

  /** Use {@linkcode spawnInside}. */
  constructor(child: Deno.ChildProcess, cgroup: string) {
    this.#child = child;
    this.#cgroup = cgroup;
    void child.status.then(() => this.#ended = true);
  }

  get stdout(): ReadableStream<Uint8Array<ArrayBuffer>> {
    return this.#child.stdout;
  }

  get stderr(): ReadableStream<Uint8Array<ArrayBuffer>> {
    return this.#child.stderr;
  }

  /** Only with `stdin: "piped"`. */
  get stdin(): WritableStream<Uint8Array<ArrayBufferLike>> {
    return this.#child.stdin;
  }

  /** The exit status of the program. */
  get status(): Promise<Deno.CommandStatus> {
    return this.#child.status;
  }

  /** Signals the program itself, not its children; one that has ended is no error. */
  async kill(signal: Deno.Signal): Promise<void> {
    const { pid } = this.#child;
    // What the host started is `nsenter`, which waits for the program.
    const children = await readIfThere(`/proc/${pid}/task/${pid}/children`);
    for (const child of children?.split(" ") ?? []) {
      if (child !== "") killProcess(Number(child), signal);
    }
  }

  /** Kills the program and everything it started that is not in a unit. */
  async killAll(): Promise<void> {
    // It may not have joined its cgroup yet.
    if (!this.#ended) killProcess(this.#child.pid, "SIGKILL");
    await killCgroup(this.#cgroup);
  }

  /** Lets go of a program that has ended; what it left in the background lives on. */
  async release(): Promise<void> {
    await removeCgroup(this.#cgroup);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.killAll();
    await this.#child.status;
    await Promise.all([this.#child.stdout, this.#child.stderr].map(drop));
    await this.release();
  }
}

/** Starts a program inside a machine. */
export async function spawnInside(
  argv: readonly string[],
  entry: MachineEntry,
  options: SpawnOptions,
): Promise<MachineProcess> {
  const { initPid, account } = entry;
  const cgroup = `${entry.cgroup}/exec-${crypto.randomUUID().slice(0, 8)}`;
  await Deno.mkdir(cgroup, { recursive: true });
  // The shell joins the cgroup and is then replaced; the words stay words.
  const child = new Deno.Command("/bin/sh", {
    args: [
      ...["-c", 'echo 0 >"$1/cgroup.procs" && shift && exec "$@"', "enter", cgroup],
      ...["nsenter", `--target=${initPid}`, "--all", "--"],
      ...["setpriv", `--reuid=${account.uid}`, `--regid=${account.uid}`, "--init-groups", "--"],
      ...["setsid", "env", `--chdir=${options.cwd ?? account.home}`, "--"],
      ...argv,
    ],
    clearEnv: true,
    env: environmentOf(account, options.env ?? {}),
    stdin: options.stdin ?? "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  return new MachineProcess(child, cgroup);
}

/**
 * Waits for a program's end and returns its output, the last 8 MiB of each stream.
 *
 * @throws If the signal aborts or the time is up; everything it started is killed then.
 */
export async function collect(
  child: MachineProcess,
  what: string,
  options: { readonly stdin: string; readonly timeoutMs: number; readonly signal: AbortSignal },
): Promise<Finished> {
  using deadline = withDeadline(options.signal, options.timeoutMs, what);
  const onAbort = () => void child.killAll();
  deadline.addEventListener("abort", onAbort, { once: true });
  if (deadline.aborted) onAbort();
  const [stdout, stderr, status] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    child.status,
    feed(child, options.stdin),
  ]);
  await child.release();
  if (deadline.aborted) {
    throw new Error(`Cannot finish ${what}: it was stopped\n${stdout}${stderr}`, {
      cause: deadline.reason,
    });
  }
  return { code: status.code, stdout, stderr };
}

async function feed(child: MachineProcess, input: string): Promise<void> {
  if (input === "") return;
  const writer = child.stdin.getWriter();
  try {
    await writer.write(new TextEncoder().encode(input));
    await writer.close();
  } catch (error) {
    // A program need not read its input to the end.
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
  }
}

async function text(stream: ReadableStream<Uint8Array>): Promise<string> {
  let kept: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of stream) {
    kept.push(chunk);
    bytes += chunk.length;
    while (bytes - (kept[0]?.length ?? 0) >= OUTPUT_MAX_BYTES) {
      bytes -= kept[0]?.length ?? 0;
      kept = kept.slice(1);
    }
  }
  return await new Blob(kept.map((chunk) => new Uint8Array(chunk))).text();
}

async function drop(stream: ReadableStream<Uint8Array>): Promise<void> {
  await stream.cancel().catch(ignore("someone else reads it to its end"));
}

function environmentOf(
  account: MachineAccount,
  added: Readonly<Record<string, string | undefined>>,
): Record<string, string> {
  const runtime = account.uid === 0 ? "/run" : `/run/user/${account.uid}`;
  const env: Record<string, string | undefined> = {
    HOME: account.home,
    USER: account.name,
    LOGNAME: account.name,
    SHELL: "/bin/bash",
    LANG: "C.UTF-8",
    PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    ...(account.uid === 0 ? {} : {
      XDG_RUNTIME_DIR: runtime,
      DBUS_SESSION_BUS_ADDRESS: `unix:path=${runtime}/bus`,
    }),
    ...added,
  };
  return Object.fromEntries(
    Object.entries(env).flatMap(([name, value]) => value === undefined ? [] : [[name, value]]),
  );
}
