/**
 * A real runner with its agents as child processes, in directories of its own.
 *
 * @module
 */
import { fromFileUrl } from "@lib/core/file_url.ts";

const MAIN = fromFileUrl(new URL("../../cmd/runner/main.ts", import.meta.url).href);
/** Time limit for a runner to answer on a busy machine. */
const START_DEADLINE_MS = 30_000;

/** Time limit for starting agents to release their directory. */
const REMOVE_DEADLINE_MS = 10_000;

/** The exit of a runner. */
export interface RunnerExit {
  readonly code: number;
  readonly stderr: string;
}

/** Options for {@linkcode RunnerBench}. */
export interface RunnerBenchOptions {
  /** The text of the configuration file. */
  readonly config?: string;
  /** Made before the runner; removed by whoever made it. */
  readonly stateDir?: string;
  /** The program's entry, of another release for example; absent: this tree's. */
  readonly main?: string;
  /** More variables of the runner and its agents. */
  readonly env?: Readonly<Record<string, string>>;
  /** Of the runner and, as it starts them, its agents. @default {"022"} */
  readonly umask?: string;
  /** Programs before the runner, such as one that drops privileges. */
  readonly before?: readonly string[];
  /** When an agent without work exits. @default {"2s"} */
  readonly idleExit?: string;
}

/** The directories of one runner, which can be started and killed again and again. */
export class RunnerBench implements AsyncDisposable {
  readonly directory = Deno.makeTempDirSync({ prefix: "rb-" });
  readonly stateDir: string;
  readonly socket = `${this.directory}/r.sock`;
  /** The program's entry; another one takes over what the one before has left. */
  main: string;
  readonly #config: string;
  readonly #umask: string;
  readonly #before: readonly string[];
  readonly #idleExit: string;
  readonly #moreEnv: Readonly<Record<string, string>>;
  readonly #http: Deno.HttpClient;
  #process: Deno.ChildProcess | undefined;
  #stderr: Promise<string> = Promise.resolve("");

  constructor(options: RunnerBenchOptions = {}) {
    const { config = "", stateDir, main = MAIN, umask = "022", before = [], idleExit = "2s" } =
      options;
    const { env = {} } = options;
    this.#umask = umask;
    this.#before = before;
    this.#idleExit = idleExit;
    this.#moreEnv = env;
    this.main = main;
    this.stateDir = stateDir ?? `${this.directory}/state`;
    this.#config = `${this.directory}/config.yaml`;
    Deno.mkdirSync(`${this.directory}/xdg`, { mode: 0o700 });
    this.configure(config);
    this.#http = Deno.createHttpClient({ proxy: { transport: "unix", path: this.socket } });
  }

  get pid(): number {
    return this.#process?.pid ?? 0;
  }

  /** Writes the configuration file; a runner reads it when it starts, and at a SIGHUP. */
  configure(config: string): void {
    Deno.writeTextFileSync(this.#config, `agent_idle_exit: ${this.#idleExit}\n${config}`);
  }

  /** Starts a runner, without waiting for it. */
  spawn(args: readonly string[] = []): void {
    const process = new Deno.Command("/bin/sh", {
      args: [
        "-c",
        `umask ${this.#umask}; exec "$@"`,
        "sh",
        ...this.#before,
        Deno.execPath(),
        "run",
        "--quiet",
        "--allow-all",
        this.main,
        "daemon",
        `--config=${this.#config}`,
        `--socket=${this.socket}`,
        `--state-dir=${this.stateDir}`,
        `--runtime-dir=${this.directory}/run`,
        ...args,
      ],
      clearEnv: true,
      env: this.#env(),
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).spawn();
    this.#process = process;
    this.#stderr = readSome(process.stderr);
  }

  /** Starts a runner and waits until it answers. */
  async start(args: readonly string[] = []): Promise<void> {
    this.spawn(args);
    const deadline = Date.now() + START_DEADLINE_MS;
    while (Date.now() < deadline) {
      try {
        const response = await this.ask("GET", "/healthz");
        await response.body?.cancel();
        if (response.ok) return;
      } catch (error) {
        if (!(error instanceof TypeError)) throw error;
      }
      await pause(20);
    }
    throw new Error(`The runner does not answer: ${(await this.kill()).stderr}`);
  }

  /** Waits until the runner has ended by itself. */
  async ended(): Promise<RunnerExit> {
    const process = this.#process;
    if (process === undefined) throw new Error("No runner was started");
    const { code } = await process.status;
    this.#process = undefined;
    return { code, stderr: await Promise.race([this.#stderr, pause(500).then(() => "")]) };
  }

  /** Ends the runner. */
  async kill(signal: Deno.Signal = "SIGKILL"): Promise<RunnerExit> {
    try {
      this.#process?.kill(signal);
    } catch (error) {
      if (!(error instanceof TypeError) && !(error instanceof Deno.errors.NotFound)) throw error;
    }
    return await this.ended();
  }

  /** Asks the runner; a body is sent as JSON unless it is text. */
  ask(
    method: string,
    path: string,
    { body, headers = {} }: {
      readonly body?: unknown;
      readonly headers?: Readonly<Record<string, string>>;
    } = {},
  ): Promise<Response> {
    return fetch(`http://localhost${path}`, {
      method,
      headers,
      client: this.#http,
      ...(body === undefined
        ? {}
        : { body: typeof body === "string" ? body : JSON.stringify(body) }),
    });
  }

  /** Asks, and reads the answer as JSON. */
  async json(...question: Parameters<RunnerBench["ask"]>) {
    const response = await this.ask(...question);
    return { status: response.status, body: await response.json() };
  }

  /** Runs a command of the command line that asks this runner. */
  async cli(args: readonly string[]) {
    const [name = "", ...rest] = args;
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "--quiet", "--allow-all", this.main, name, `--socket=${this.socket}`, ...rest],
      clearEnv: true,
      env: this.#env(),
      stdin: "null",
    }).output();
    const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    return { code, stdout: text(stdout), stderr: text(stderr) };
  }

  #env(): Record<string, string> {
    return {
      PATH: Deno.env.get("PATH") ?? "/usr/bin:/bin",
      HOME: this.directory,
      XDG_RUNTIME_DIR: `${this.directory}/xdg`,
      ...this.#moreEnv,
      ...optionalEnv("DENO_DIR", Deno.env.get("DENO_DIR") ?? denoDir()),
    };
  }

  /** Submits a job and waits for its end. */
  async runJob(body: Readonly<Record<string, unknown>>) {
    const { body: job } = await this.json("POST", "/v1/jobs", { body });
    return (await this.json("GET", `/v1/jobs/${job.id}/wait?timeout=60s`)).body;
  }

  /** The pids of the agents that live. */
  agentPids(): readonly number[] {
    const pids: number[] = [];
    for (const project of directoriesIn(`${this.stateDir}/projects`)) {
      const pid = Number(readIfThere(`${this.stateDir}/projects/${project}/cicd-agent.lock`));
      if (pid > 0 && readIfThere(`/proc/${pid}/cmdline`).includes("--session-id")) pids.push(pid);
    }
    return pids;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process !== undefined) await this.kill();
    this.#http.close();
    const deadline = Date.now() + REMOVE_DEADLINE_MS;
    while (true) {
      for (const pid of this.agentPids()) killIfThere(pid);
      try {
        return await Deno.remove(this.directory, { recursive: true });
      } catch (error) {
        // An agent that the runner started last takes its lock, and can be found, a moment later.
        if (Date.now() > deadline) throw error;
      }
      await pause(50);
    }
  }
}

/** Resident memory of a process, in bytes. */
export function residentBytes(pid: number): number {
  const match = /^VmRSS:\s+(\d+) kB/m.exec(Deno.readTextFileSync(`/proc/${pid}/status`));
  return Number(match?.[1] ?? 0) * 1024;
}

/** Checks that a process runs; a zombie does not. */
export function isAlive(pid: number): boolean {
  return readIfThere(`/proc/${pid}/cmdline`) !== "";
}

/** Lets real time pass, for what happens in another process. */
export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Messages of a runner; agents write to the same pipe and may keep it open. */
async function readSome(stream: ReadableStream<Uint8Array>): Promise<string> {
  let text = "";
  for await (const chunk of stream.pipeThrough(new TextDecoderStream())) {
    if (text.length < 100_000) text += chunk;
  }
  return text;
}

function optionalEnv(name: string, value: string | undefined): Record<string, string> {
  return value === undefined ? {} : { [name]: value };
}

/** The cache of this process: a cold one would make each start slow. */
function denoDir(): string | undefined {
  const home = Deno.env.get("HOME");
  return home === undefined ? undefined : `${home}/.cache/deno`;
}

function killIfThere(pid: number): void {
  try {
    Deno.kill(pid, "SIGKILL");
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

function directoriesIn(path: string): readonly string[] {
  try {
    return [...Deno.readDirSync(path)].map(({ name }) => name);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

function readIfThere(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "";
    throw error;
  }
}
