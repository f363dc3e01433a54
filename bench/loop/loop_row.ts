/**
 * Measures for how long a request keeps the runner's event loop from turning.
 *
 * @module
 */
import { UnixClient } from "@lib/foundations/http/unix_client.ts";
import { rest } from "../driver/product.ts";
import type { Comparison } from "../report.ts";
import { type Load, loads } from "./bodies.ts";

/** Options for {@linkcode measureLoop}. */
export interface LoopOptions {
  /** The program and arguments of the runner's daemon, after which its flags are added. */
  readonly daemon: readonly string[];
  /** A directory on a real disk. */
  readonly scratch: string;
  readonly quick: boolean;
  readonly say: (text: string) => void;
  readonly signal: AbortSignal;
}

const MIB = 1024 * 1024;
const TARGET_MS = 50;
const START_TIMEOUT_MS = 60_000;

/** Projects and their queued jobs, as every request may have to count or list them. */
const PROJECTS = 100;
const JOBS = 5;

const CONFIG = `agents: child
idle_exit: 1h
queue: { max_queued: 100000, start_timeout: 1h }
gryt: { api_key: "env:BENCH_GRYT_KEY" }
`;

/** Returns the daemon of a build as its launcher starts it, with the probe before it. */
export async function productDaemon(dist: string): Promise<readonly string[]> {
  const launcher = await Deno.readTextFile(`${dist}/bin/cicd-runner`);
  const flags = /"\$runtime" (run .*) "\$home\/\$bundle"/.exec(launcher)?.[1];
  if (flags === undefined) throw new Error(`Cannot find the flags of ${dist}/bin/cicd-runner`);
  const probe = new URL("probe.ts", import.meta.url).pathname;
  const home = `${dist}/lib/cicd-toolkit`;
  return [`${home}/deno`, ...flags.split(" "), `--preload=${probe}`, `${home}/daemon.js`, "daemon"];
}

/** Measures each route with the worst requests that the limits admit. */
export async function measureLoop(options: LoopOptions): Promise<readonly Comparison[]> {
  const { quick, say, signal } = options;
  await using runner = await LoopRunner.open(options);
  const idle: number[] = [];
  for (let round = 0; round < (quick ? 3 : 20); round++) {
    await runner.worst();
    await rest(50, signal);
    idle.push((await runner.worst()).haltMs);
  }
  say(`${PROJECTS} projects with ${JOBS} jobs each`);
  await runner.fill();
  const routes = await runner.routes();
  const samples = new Map<string, Map<string, Halt[]>>();
  // The first round compiles the code that the others measure.
  for (let round = -1; round < (quick ? 1 : 3); round++) {
    for (const load of loads(await runner.endedJob())) {
      const route = routeOf(load, routes);
      const halt = await runner.measure(load);
      if (round < 0) continue;
      const ofRoute = samples.getOrInsertComputed(route, () => new Map());
      ofRoute.getOrInsertComputed(load.name, (): Halt[] => []).push(halt);
    }
    say(`round ${round + 2}`);
  }
  const unmeasured = routes.filter(({ name }) => !samples.has(name));
  if (unmeasured.length > 0) {
    throw new Error(`Cannot measure ${unmeasured.map(({ name }) => name).join(", ")}: no request`);
  }
  return [...samples].map(([route, byName]) => {
    const bodies = [...byName].map(([name, halts]) => ({
      name: name === "" ? "no body" : name,
      halts: halts.map(({ haltMs }) => haltMs),
      commits: halts.map(({ commitMs }) => commitMs),
    })).toSorted((a, b) => median(b.halts) - median(a.halts));
    const [worst = { name: "", halts: [] }] = bodies;
    const [slowest] = bodies.toSorted((a, b) => median(b.commits) - median(a.commits));
    return {
      name: `longest halt of the event loop, ${route}`,
      unit: "ms",
      better: "lower",
      target: TARGET_MS,
      ours: { name: worst.name, samples: worst.halts },
      peers: [
        { name: "idle runner", samples: idle },
        ...slowest === undefined || median(slowest.commits) === 0
          ? []
          : [{ name: `commit to the disk, ${slowest.name}`, samples: slowest.commits }],
      ],
      notes: bodies.filter(({ halts }) => median(halts) > TARGET_MS)
        .map(({ name, halts }) => `${name}: ${Math.round(median(halts))} ms`),
    };
  });
}

/** What the probe measured, in milliseconds. */
interface Halt {
  /** The longest halt, without waiting for the disk or the processor. */
  readonly haltMs: number;
  /** The longest commit, which waits for the disk by design. */
  readonly commitMs: number;
}

/** A route of the API's description. */
interface Route {
  readonly name: string;
  readonly method: string;
  readonly path: RegExp;
}

/** @throws {Error} If the API's description has no route for the request. */
function routeOf({ method, path }: Load, routes: readonly Route[]): string {
  const [plain = ""] = path.split("?", 1);
  const route = routes.find((each) => each.method === method && each.path.test(plain));
  if (route === undefined) throw new Error(`Cannot find the route of ${method} ${plain}`);
  return route.name;
}

function median(samples: readonly number[]): number {
  return samples.toSorted((a, b) => a - b)[samples.length >> 1] ?? 0;
}

/** A runner with the probe inside. */
class LoopRunner implements AsyncDisposable {
  readonly #directory: string;
  readonly #process: Deno.ChildProcess;
  readonly #client: UnixClient;
  readonly #signal: AbortSignal;

  private constructor(directory: string, process: Deno.ChildProcess, signal: AbortSignal) {
    this.#directory = directory;
    this.#process = process;
    this.#client = new UnixClient(`${directory}/r.sock`);
    this.#signal = signal;
  }

  static async open({ daemon, scratch, signal }: LoopOptions): Promise<LoopRunner> {
    const directory = await Deno.makeTempDir({ dir: scratch, prefix: "loop-" });
    await Deno.writeTextFile(`${directory}/config.yaml`, CONFIG);
    const [program = "", ...args] = daemon;
    const process = new Deno.Command(program, {
      args: [
        ...args,
        `--config=${directory}/config.yaml`,
        `--socket=${directory}/r.sock`,
        `--state-dir=${directory}/state`,
        `--runtime-dir=${directory}/run`,
      ],
      clearEnv: true,
      env: {
        PATH: "/usr/sbin:/usr/bin:/sbin:/bin",
        HOME: directory,
        DENO_DIR: `${directory}/cache`,
        BENCH_GRYT_KEY: "bench",
        BENCH_LOOP_PROBE: `${directory}/probe.sock`,
      },
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    const runner = new LoopRunner(directory, process, signal);
    const late = AbortSignal.any([signal, AbortSignal.timeout(START_TIMEOUT_MS)]);
    while (!await runner.#answers(late)) await rest(50, late);
    return runner;
  }

  /** Returns the longest halt since the last question. */
  async worst(): Promise<Halt> {
    using connection = await Deno.connect({
      transport: "unix",
      path: `${this.#directory}/probe.sock`,
    });
    return await new Response(connection.readable).json();
  }

  /** Sends a request; returns the longest halt until a moment after its answer. */
  async measure({ method, path, headers, body }: Load): Promise<Halt> {
    await rest(20, this.#signal);
    await this.worst();
    const signal = AbortSignal.any([this.#signal, AbortSignal.timeout(30_000)]);
    using answer = await this.#client.send({
      method,
      path,
      signal,
      ...(headers === undefined ? {} : { headers }),
      ...(body === undefined ? {} : { body }),
    });
    if (!path.startsWith("/v1/events")) await answer.text(64 * MIB);
    await rest(20, this.#signal);
    return await this.worst();
  }

  /** Submits a job and cancels it; returns its id. */
  async endedJob(): Promise<string> {
    await this.#ask("POST", "/v1/queue/pause");
    const job = await this.#ask("POST", "/v1/jobs", { project: "bench", command: ["true"] });
    const id = String(Reflect.get(Object(job), "id"));
    await this.#ask("POST", `/v1/jobs/${id}/cancel`);
    return id;
  }

  /** Queues jobs that cannot start. */
  async fill(): Promise<void> {
    for (let at = 0; at < PROJECTS; at++) {
      await this.#ask("POST", `/v1/projects/p${at}/pause`);
      for (let job = 0; job < JOBS; job++) {
        await this.#ask("POST", "/v1/jobs", { project: `p${at}`, command: ["true"] });
      }
    }
  }

  /** Reads the routes from the API's description. */
  async routes(): Promise<readonly Route[]> {
    const document = await this.#ask("GET", "/openapi.json");
    const paths: Readonly<Record<string, object>> = Object(Reflect.get(Object(document), "paths"));
    const routes = Object.entries(paths).flatMap(([template, operations]) => {
      const pattern = template.replaceAll(/\/\{path\}/g, "/.+").replaceAll(/\{\w+\}/g, "[^/]+");
      return Object.keys(operations).map((key) => key.toUpperCase())
        .filter((method) => ["GET", "POST", "PUT", "PATCH", "DELETE"].includes(method))
        .map((method) => ({
          name: `${method} ${template}`,
          method,
          path: new RegExp(`^${pattern}$`),
        }));
    });
    return [...routes, { name: "GET /openapi.json", method: "GET", path: /^\/openapi\.json$/ }];
  }

  async #ask(method: string, path: string, body?: unknown): Promise<unknown> {
    using answer = await this.#client.send({
      method,
      path,
      signal: this.#signal,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return JSON.parse(await answer.text(8 * MIB));
  }

  async #answers(signal: AbortSignal): Promise<boolean> {
    try {
      using answer = await this.#client.send({ method: "GET", path: "/healthz", signal });
      return answer.status === 200;
    } catch {
      signal.throwIfAborted();
      return false;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#client[Symbol.dispose]();
    this.#process.kill("SIGKILL");
    await this.#process.status;
    await Deno.remove(this.#directory, { recursive: true });
  }
}
