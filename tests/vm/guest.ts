/**
 * The emulated machine from within: the suite as its user works with it, and
 * the kernel's own files.
 *
 * Everything is slow here, a program in V8 most of all: what starts one has
 * minutes, and there are few of them.
 *
 * @module
 */
import { systemClock } from "@lib/core/clock.ts";

/** The output of a finished program. */
export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Options for {@linkcode run}. */
export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** @default {60_000} */
  readonly timeoutMs?: number;
}

/** A job as the API shows it, as far as the checks look at it. */
export interface JobSeen {
  readonly id: string;
  readonly state: string;
  readonly reason: string | null;
  readonly message: string | null;
  readonly exit_code: number | null;
  readonly usage: Readonly<Record<string, number | null>>;
}

/** Where the second disk is. */
export const PAYLOAD = "/suite";
export const HOME = "/home/dev";
const SOCKET = "/run/user/1000/cicd-runner.sock";
const STATE = `${HOME}/.local/state/cicd-toolkit`;

/** The cgroup of the user's service manager. */
export const MANAGER = "/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service";
/** The cgroup of everything that the jobs of project `web` do. */
export const PROJECT_SLICE = `${MANAGER}/cicd.slice/cicd-web.slice`;
export const AGENT = "cicd-agent@web.service";
export const RUNNER = "cicd-runner.service";

/** Where the installer puts the programs, and what else is needed to use them. */
const ENV = { PATH: `${HOME}/.local/bin:/usr/local/bin:/usr/bin:/bin`, LC_ALL: "C.UTF-8" };

/** Runs a program as the suite's user; its exit code may be anything. */
export async function run(argv: readonly string[], options: RunOptions = {}): Promise<Ran> {
  const [program = "", ...args] = argv;
  const output = await new Deno.Command(program, {
    args,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    env: { ...ENV, ...options.env },
    signal: AbortSignal.timeout(options.timeoutMs ?? 60_000),
  }).output();
  const decoder = new TextDecoder();
  return {
    code: output.code,
    stdout: decoder.decode(output.stdout),
    stderr: decoder.decode(output.stderr),
  };
}

/**
 * As {@linkcode run}, for programs that have to succeed.
 *
 * @returns Standard output, without the last line end.
 */
export async function must(argv: readonly string[], options: RunOptions = {}): Promise<string> {
  const { code, stdout, stderr } = await run(argv, options);
  if (code === 0) return stdout.replace(/\n$/, "");
  const said = `${stdout}${stderr}`.slice(-2_000);
  throw new Error(`Cannot run "${argv.join(" ")}": it exited with ${code}: ${said}`);
}

/** `systemctl --user` with these arguments. */
export async function systemctl(...args: readonly string[]): Promise<string> {
  return await must(["systemctl", "--user", ...args]);
}

/** A property of a unit of the user's manager. */
export async function show(unit: string, property: string): Promise<string> {
  return await systemctl("show", `--property=${property}`, "--value", unit);
}

/** Calls the API with `curl`; the answer has to be a good one. */
export async function api(path: string, body?: unknown, timeoutMs = 120_000): Promise<unknown> {
  const post = body === undefined
    ? []
    : ["-H", "Content-Type: application/json", "--data-binary", JSON.stringify(body)];
  const curl = ["curl", "-sS", "--fail-with-body", "--max-time", `${timeoutMs / 1_000}`];
  const url = ["--unix-socket", SOCKET, ...post, `http://localhost${path}`];
  return JSON.parse(await must([...curl, ...url], { timeoutMs: timeoutMs + 5_000 }));
}

/** Submits a job of project `web`; returns its id. */
export async function submit(job: Readonly<Record<string, unknown>>): Promise<string> {
  return parseJob(await api("/v1/jobs", { project: "web", ...job })).id;
}

/** Shows a job. */
export async function job(id: string): Promise<JobSeen> {
  return parseJob(await api(`/v1/jobs/${id}`));
}

/** Waits until a job has ended. */
export async function ended(id: string, timeoutMs = 120_000): Promise<JobSeen> {
  const path = `/v1/jobs/${id}/wait?timeout=${Math.ceil(timeoutMs / 1_000)}s`;
  return parseJob(await api(path, undefined, timeoutMs + 10_000));
}

/** Waits until a job's own process is there. */
export async function untilRunning(id: string): Promise<void> {
  await until(`job ${id} to run`, async () => {
    const pids = await read(`${PROJECT_SLICE}/${unitOf(id)}/cgroup.procs`);
    return pids !== undefined && pids !== "";
  });
}

/** The unit of a job's first attempt. */
export function unitOf(id: string): string {
  return `cicd-job-${id}-1.service`;
}

/** The directory of a job's first attempt. */
function attempt(id: string): string {
  return `${STATE}/projects/web/jobs/${id}/1`;
}

/** Returns the workspace of the project's second job under way. */
export function workspace(): string {
  return `${STATE}/projects/web/workspaces/2`;
}

/** A job's output. */
export async function log(id: string): Promise<string> {
  return await read(`${attempt(id)}/output.log`) ?? "";
}

/** The record that the unit left of its end: the kernel's figures by name. */
export async function record(id: string): Promise<ReadonlyMap<string, string>> {
  const text = await read(`${attempt(id)}/result`);
  if (text === undefined) throw new Error(`Job ${id} left no record`);
  return new Map(
    text.split("\n").map((line) => {
      const at = line.indexOf("=");
      return [line.slice(0, at), line.slice(at + 1)] as const;
    }),
  );
}

/** A number of the record; 0 if it is not there. */
export function figure(figures: ReadonlyMap<string, string>, name: string): number {
  return Number(figures.get(name) ?? 0);
}

/** Processes that the kernel has killed anywhere in the project's slice, for want of memory. */
export async function oomKills(): Promise<number> {
  const events = await read(`${PROJECT_SLICE}/memory.events`) ?? "";
  return Number(/^oom_kill (\d+)$/m.exec(events)?.[1] ?? 0);
}

/** Reads a file, without the line end; `undefined` if there is none. */
export async function read(path: string): Promise<string | undefined> {
  try {
    return (await Deno.readTextFile(path)).trimEnd();
  } catch (error) {
    // The second: a group that went away between opening and reading.
    const gone = error instanceof Error && "code" in error && error.code === "ENODEV";
    if (error instanceof Deno.errors.NotFound || gone) return undefined;
    throw error;
  }
}

/** Asks until the answer is yes. */
export async function until(
  what: string,
  probe: () => Promise<boolean>,
  timeoutMs = 60_000,
): Promise<void> {
  const { signal } = new AbortController();
  const endsAt = performance.now() + timeoutMs;
  while (!await probe()) {
    if (performance.now() > endsAt) {
      throw new Error(`Waited ${timeoutMs / 1_000} s for ${what}, in vain`);
    }
    await systemClock.sleep(100, { signal });
  }
}

/**
 * Edits a unit as a person does, with `systemctl edit` in a terminal.
 *
 * @param text Replaces what the drop-in held.
 */
export async function edit(unit: string, text: string): Promise<void> {
  const command = `systemctl --user edit ${unit}`;
  await must(["script", "-qec", command, "/dev/null"], {
    env: { SYSTEMD_EDITOR: `${PAYLOAD}/editor`, EDIT_TEXT: text, TERM: "dumb" },
  });
}

/** Bytes as people write them. */
export function mib(bytes: number): string {
  return `${Math.round(bytes / 1024 / 1024)}M`;
}

function parseJob(value: unknown): JobSeen {
  // The shape is tested elsewhere; here a wrong one shows as a row that does not hold.
  return value as JobSeen;
}
