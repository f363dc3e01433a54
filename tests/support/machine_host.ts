/**
 * What the test machines need from the host: programs, `/proc` and cgroups.
 *
 * @module
 */
import { ignore } from "@lib/core/errors.ts";

/** The output of a finished program. */
export interface Finished {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Options for {@linkcode runOnHost}. */
export interface RunOnHostOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
}

/**
 * Runs a program of the host to its end.
 *
 * @throws {Error} If it cannot be started or does not exit with 0.
 */
export async function runOnHost(
  argv: readonly string[],
  { env, signal }: RunOnHostOptions,
): Promise<Finished> {
  signal.throwIfAborted();
  const [program = "", ...args] = argv;
  const output = await new Deno.Command(program, {
    args,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    ...(env === undefined ? {} : { env }),
    signal,
  }).output();
  signal.throwIfAborted();
  const decoder = new TextDecoder();
  const finished = {
    code: output.code,
    stdout: decoder.decode(output.stdout),
    stderr: decoder.decode(output.stderr),
  };
  if (finished.code !== 0) {
    const said = `${finished.stdout}${finished.stderr}`.slice(-4_000);
    throw new Error(`Cannot run "${argv.join(" ")}": it exited with ${finished.code}\n${said}`);
  }
  return finished;
}

/** Reads a small file; `undefined` if there is none, or its process has just ended. */
export async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || isEnded(error)) return undefined;
    throw error;
  }
}

/** Numbers of all processes of the host. */
export async function processIds(): Promise<number[]> {
  const ids: number[] = [];
  for await (const entry of Deno.readDir("/proc")) {
    if (/^\d+$/.test(entry.name)) ids.push(Number(entry.name));
  }
  return ids;
}

/**
 * When a process was started, in clock ticks since the host's boot.
 *
 * @returns `undefined` if there is no such process.
 */
export async function startTicks(pid: number): Promise<string | undefined> {
  const stat = await readIfThere(`/proc/${pid}/stat`);
  // The second field, the program's name, may hold spaces and parentheses.
  return stat?.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
}

/**
 * Finds the first process of a container, as the host numbers it.
 *
 * @param supervisor Number of the `systemd-nspawn` that is its parent.
 */
export async function findInit(supervisor: number): Promise<number | undefined> {
  for (const pid of await processIds()) {
    const status = await readIfThere(`/proc/${pid}/status`) ?? "";
    if (!status.includes(`\nPPid:\t${supervisor}\n`)) continue;
    const numbers = /^NSpid:\t(.*)$/m.exec(status)?.[1]?.split("\t") ?? [];
    if (numbers.length > 1 && numbers.at(-1) === "1") return pid;
  }
  return undefined;
}

/** Kills a process; one that has ended is no error. */
export function killProcess(pid: number, signal: Deno.Signal): void {
  try {
    Deno.kill(pid, signal);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound) && !isEnded(error)) throw error;
  }
}

/** Every cgroup hierarchy a machine of this name may have left a group in. */
export async function cgroupsNamed(name: string): Promise<string[]> {
  const found: string[] = [];
  const mounts = await Deno.readTextFile("/proc/self/mountinfo");
  for (const line of mounts.split("\n")) {
    const [before = "", after = ""] = line.split(" - ");
    const path = `${before.split(" ")[4]}/${name}`;
    if (!/^cgroup2? /.test(after)) continue;
    if (await Deno.stat(path).then(() => true, () => false)) found.push(path);
  }
  return found;
}

/** Removes a cgroup and those below it; `false` while something lives in one. */
export async function removeCgroup(path: string): Promise<boolean> {
  let gone = true;
  try {
    for await (const entry of Deno.readDir(path)) {
      if (entry.isDirectory) gone = await removeCgroup(`${path}/${entry.name}`) && gone;
    }
    if (gone) await Deno.remove(path);
    return gone;
  } catch (error) {
    return error instanceof Deno.errors.NotFound;
  }
}

/** Kills everything in a cgroup v2 group and below. */
export async function killCgroup(path: string): Promise<void> {
  await Deno.writeTextFile(`${path}/cgroup.kill`, "1", { create: false })
    .catch(ignore("the group is gone already"));
}

function isEnded(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ESRCH";
}
