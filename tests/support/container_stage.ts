/**
 * The whole product with a container engine and a git server of its own.
 *
 * @module
 */
import assert from "node:assert/strict";
import { BUSYBOX, type DockerEngine, startDockerEngine } from "./docker_engine.ts";
import { type GitServer, startGitServer } from "./git_server.ts";
import { pause, RunnerBench } from "./runner_process.ts";

/** Opens the git server. */
export const TOKEN = "ghp_only-for-the-checkout";

/** An engine, a git server and a runner. */
export class Stage implements AsyncDisposable {
  readonly engine: DockerEngine;
  readonly git: GitServer;
  readonly runner: RunnerBench;

  private constructor(engine: DockerEngine, git: GitServer, runner: RunnerBench) {
    this.engine = engine;
    this.git = git;
    this.runner = runner;
  }

  static async open(config = ""): Promise<Stage> {
    const engine = await startDockerEngine();
    await engine.importBusybox();
    const git = await startGitServer({ token: TOKEN });
    const runner = new RunnerBench({
      config: `executor: direct\ncontainers: { host: "${engine.host}", network: none }\n${config}`,
    });
    await runner.start();
    return new Stage(engine, git, runner);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.runner[Symbol.asyncDispose]();
    await this.git[Symbol.asyncDispose]();
    await this.engine[Symbol.asyncDispose]();
  }

  /** Runs curl on the runner's socket. */
  async curl(path: string, ...args: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await new Deno.Command("curl", {
      args: ["-sSN", "--unix-socket", this.runner.socket, ...args, `http://localhost${path}`],
      stdin: "null",
    }).output();
    assert.equal(code, 0, new TextDecoder().decode(stderr));
    return new TextDecoder().decode(stdout);
  }

  /** Submits a job of the suite's image and does not wait for it. */
  async submit(job: Readonly<Record<string, unknown>>): Promise<string> {
    const body = JSON.stringify({ project: "web", image: BUSYBOX, ...job });
    return JSON.parse(await this.curl("/v1/jobs", "-d", body)).id;
  }

  /** Waits for the end of a job. */
  async ended(id: string) {
    return JSON.parse(await this.curl(`/v1/jobs/${id}/wait?timeout=60s`));
  }

  /** Submits a job and follows it, as a step of a workflow does. */
  async follow(job: Readonly<Record<string, unknown>>) {
    const log = await this.curl("/v1/jobs?follow=1", "-d", JSON.stringify(job));
    const id = / job=(\S+)\s*$/.exec(log)?.[1];
    assert(id !== undefined, `no result in: ${log}`);
    return { id, log, job: JSON.parse(await this.curl(`/v1/jobs/${id}`)) };
  }

  /** Resolves when the log of a job holds a text. */
  async logHolds(id: string, text: string): Promise<void> {
    while (!(await this.curl(`/v1/jobs/${id}/logs`)).includes(text)) await pause(50);
  }
}
