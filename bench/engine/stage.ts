/**
 * The stage of the benchmarks with containers: a dedicated container engine and
 * the built product on the host, with agents as child processes.
 *
 * An engine on the host sees the same paths as the product; in a booted machine it
 * would need a root file system for its layers.
 *
 * @module
 */
import { stringify } from "@std/yaml";
import { ignore } from "@lib/core/errors.ts";
import { UnixClient, type UnixResponse } from "@lib/foundations/http/unix_client.ts";
import {
  BUSYBOX,
  type DockerEngine,
  startDockerEngine,
} from "../../tests/support/docker_engine.ts";
import { rest, sendJson, textOf } from "../driver/product.ts";

/** Options for {@linkcode EngineStage.open}. */
export interface EngineStageOptions {
  /** A build: a directory with `bin/` and `lib/`. */
  readonly dist: string;
  /** A directory on a real disk. */
  readonly scratch: string;
  readonly signal: AbortSignal;
}

/** The project of all measured jobs. */
const PROJECT = "bench";
const START_TIMEOUT_MS = 60_000;

/** A running engine and a running product. Disposing removes both. */
export class EngineStage implements AsyncDisposable {
  readonly engine: DockerEngine;
  /** A client of the engine's own API. */
  readonly raw: UnixClient;
  readonly directory: string;
  readonly #runner: Deno.ChildProcess;
  readonly #client: UnixClient;

  private constructor(engine: DockerEngine, directory: string, runner: Deno.ChildProcess) {
    this.engine = engine;
    this.directory = directory;
    this.raw = new UnixClient(engine.socket);
    this.#runner = runner;
    this.#client = new UnixClient(`${directory}/r.sock`);
  }

  /** Starts both; resolves when the product is ready. */
  static async open({ dist, scratch, signal }: EngineStageOptions): Promise<EngineStage> {
    const engine = await startDockerEngine();
    await engine.importBusybox();
    const directory = await Deno.makeTempDir({ dir: scratch, prefix: "engine-" });
    await Deno.writeTextFile(
      `${directory}/config.yaml`,
      stringify({
        idle_exit: "1h",
        agent_idle_exit: "1h",
        agents: "child",
        executor: "direct",
        queue: { max_running: 8 },
        git: { schemes: ["file"] },
        containers: { host: `unix://${engine.socket}` },
      }),
    );
    await Deno.mkdir(`${directory}/cache`);
    const runner = new Deno.Command(`${dist}/bin/cicd-runner`, {
      args: [
        "daemon",
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
      },
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    const stage = new EngineStage(engine, directory, runner);
    try {
      await stage.#ready(AbortSignal.any([signal, AbortSignal.timeout(START_TIMEOUT_MS)]));
      return stage;
    } catch (error) {
      await stage[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** An image with a shell. */
  readonly image = BUSYBOX;

  /** Returns name and version of the engine. */
  async describe(signal: AbortSignal): Promise<string> {
    const answer = await this.raw.send({ method: "GET", path: "/version", signal });
    return `Docker Engine ${textOf(JSON.parse(await answer.text()), "Version")}`;
  }

  /** Sends a request to the product; read the response's body or dispose it. */
  async send(
    method: string,
    path: string,
    signal: AbortSignal,
    body?: unknown,
  ): Promise<UnixResponse> {
    return await sendJson(this.#client, { method, path, body, signal });
  }

  /** Submits a job; resolves with its id. */
  async submit(job: Readonly<Record<string, unknown>>, signal: AbortSignal): Promise<string> {
    const answer = await this.send("POST", "/v1/jobs", signal, { project: PROJECT, ...job });
    return textOf(JSON.parse(await answer.text()), "id");
  }

  /** Resolves once a job has ended. @throws {Error} If it did not succeed. */
  async succeeded(id: string, signal: AbortSignal): Promise<void> {
    const answer = await this.send("GET", `/v1/jobs/${id}/wait?timeout=10m`, signal);
    const job: unknown = JSON.parse(await answer.text());
    if (textOf(job, "state") !== "succeeded") {
      throw new Error(`The job ended as ${textOf(job, "state")}: ${textOf(job, "message")}`);
    }
  }

  /** Returns the pid of the agent, from its lock file. */
  async agentPid(): Promise<number> {
    const lock = `${this.directory}/state/projects/${PROJECT}/cicd-agent.lock`;
    return Number(await Deno.readTextFile(lock));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#client[Symbol.dispose]();
    this.raw[Symbol.dispose]();
    const pid = await this.agentPid().catch(ignore("there was no job yet"));
    for (const each of [this.#runner.pid, pid]) {
      try {
        if (each !== undefined) Deno.kill(each, "SIGKILL");
      } catch (error) {
        if (!(error instanceof Deno.errors.NotFound)) throw error;
      }
    }
    await this.#runner.status;
    await this.engine[Symbol.asyncDispose]();
    await Deno.remove(this.directory, { recursive: true });
  }

  async #ready(signal: AbortSignal): Promise<void> {
    while (true) {
      signal.throwIfAborted();
      try {
        using answer = await this.#client.send({ method: "GET", path: "/healthz", signal });
        if (answer.status === 200) return;
      } catch (error) {
        if (signal.aborted) throw error;
      }
      await rest(50, signal);
    }
  }
}
