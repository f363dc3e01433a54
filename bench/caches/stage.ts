/**
 * Where the cache examples are measured: a runner, a container engine, and directories in which the
 * same is done by hand.
 *
 * @module
 */
import { type DockerEngine, startDockerEngine } from "../../tests/support/docker_engine.ts";
import { plainGitEnv } from "../../tests/support/git_repository.ts";
import { RunnerBench } from "../../tests/support/runner_process.ts";
import type { CacheExample } from "./examples.ts";
import { importToolsImage, TOOLS_IMAGE } from "./image.ts";

/** Where a job runs. */
export type Place = "host" | "container";

const JOB_DEADLINE_MS = 20 * 60_000;

/** Variables that tools need on a machine behind a proxy. */
const NETWORK = [
  ...["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"],
  ...["NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE", "PIP_CERT"],
];
/** Variables of toolchains that are installed for the account. */
const TOOLCHAINS = ["RUSTUP_HOME", "PYENV_ROOT"];

/** What a job is made of. */
export interface Work {
  readonly example: CacheExample;
  readonly place: Place;
  readonly repository: { readonly url: string; readonly sha: string };
}

/** The time of a job, in milliseconds, and its log. */
export interface JobRun {
  readonly ms: number;
  readonly log: string;
}

/** A running stage; disposing removes all of it. */
export class CacheStage implements AsyncDisposable {
  /** For repositories and whatever else is made. */
  readonly directory: string;
  readonly #engine: DockerEngine | undefined;
  readonly #bench: RunnerBench;
  /** Of jobs and of what is done by hand. */
  readonly #env: Readonly<Record<Place, Readonly<Record<string, string>>>>;

  private constructor(engine: DockerEngine | undefined, bench: RunnerBench) {
    this.#engine = engine;
    this.#bench = bench;
    this.directory = bench.directory;
    this.#env = { host: { ...toolchains(), ...given(NETWORK) }, container: given(NETWORK) };
  }

  /** Starts what the places need. */
  static async open(places: readonly Place[], signal: AbortSignal): Promise<CacheStage> {
    await using stack = new AsyncDisposableStack();
    const engine = places.includes("container") ? stack.use(await startDockerEngine()) : undefined;
    if (engine !== undefined) await importToolsImage(engine.host, signal);
    const passed = { ...toolchains(), ...given(NETWORK) };
    const config = [
      `defaults: { pass_env: [${Object.keys(passed).join(", ")}] }`,
      "git: { schemes: [file] }",
      ...(engine === undefined ? [] : [
        `containers: { host: "${engine.host}" }`,
        "projects: { container: { containers: { allow: [host_network] } } }",
      ]),
    ];
    const bench = stack.use(
      new RunnerBench({ config: `${config.join("\n")}\n`, env: passed, idleExit: "1h" }),
    );
    await bench.start();
    stack.move();
    return new CacheStage(engine, bench);
  }

  /** Runs a job that must succeed; the time is from its submission until its end is known. */
  async job({ example, place, repository: { url, sha } }: Work): Promise<JobRun> {
    const { caches, env, script } = example;
    const body = {
      ...{ project: place, caches, script, git: { url, ref: "main", sha } },
      ...(place === "host" ? { env } : {
        image: TOOLS_IMAGE,
        network: "host",
        env: { ...this.#env.container, ...env },
      }),
    };
    const begun = performance.now();
    const { body: { id, detail } } = await this.#bench.json("POST", "/v1/jobs", { body });
    if (typeof id !== "string") throw new Error(`The job was refused: ${detail}`);
    let state = "queued";
    let message = "";
    while (["queued", "starting", "running", "stopping"].includes(state)) {
      if (performance.now() - begun > JOB_DEADLINE_MS) throw new Error("The job takes too long");
      const { body: found } = await this.#bench.json("GET", `/v1/jobs/${id}/wait?timeout=60s`);
      ({ state, message } = found);
    }
    const ms = performance.now() - begun;
    const log = await (await this.#bench.ask("GET", `/v1/jobs/${id}/logs?timestamps=true`)).text();
    if (state !== "succeeded") throw new Error(`The job ended as ${state}: ${message}\n${log}`);
    return { ms, log: `${log}${message}\n` };
  }

  /** Does the same by hand in a directory that is kept; returns the time in milliseconds. */
  async byHand({ example, place, repository: { url } }: Work): Promise<number> {
    const { env, script, caches: [{ name }] } = example;
    const top = `${this.directory}/by-hand/${place}/${name}`;
    const work = `${top}/work`;
    const home = `${top}/home`;
    if (!await Deno.stat(work).then(() => true, () => false)) {
      await Deno.mkdir(home, { recursive: true });
      await run(["git", "clone", "--quiet", url, work], { cwd: top, env: plainGitEnv() });
    }
    const begun = performance.now();
    await run(["git", "pull", "--quiet", "--ff-only"], { cwd: work, env: plainGitEnv() });
    const all = { ...this.#env[place], ...env };
    // As the product runs a script without a first line.
    const argv = ["/bin/sh", "-ec", script];
    if (this.#engine === undefined || place === "host") {
      const path = Deno.env.get("PATH") ?? "/usr/bin:/bin";
      await run(argv, { cwd: work, env: { PATH: path, HOME: home, CI: "true", ...all } });
    } else {
      const variables = { HOME: "/home/job", CI: "true", ...all };
      const flags = [
        ...["--rm", "--network=host", `--volume=${work}:/workspace`, "--workdir=/workspace"],
        `--volume=${home}:/home/job`,
        ...Object.entries(variables).map(([key, value]) => `--env=${key}=${value}`),
      ];
      const env = { PATH: "/usr/local/bin:/usr/bin:/bin", DOCKER_HOST: this.#engine.host };
      await run(["docker", "run", ...flags, TOOLS_IMAGE, ...argv], { cwd: work, env });
    }
    return performance.now() - begun;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#bench[Symbol.asyncDispose]();
    await this.#engine?.[Symbol.asyncDispose]();
  }
}

/** Runs a program that must succeed. */
async function run(
  [program = "", ...args]: readonly string[],
  { cwd, env }: { readonly cwd: string; readonly env: Readonly<Record<string, string>> },
): Promise<void> {
  const signal = AbortSignal.timeout(JOB_DEADLINE_MS);
  const command = new Deno.Command(program, {
    ...{ args, cwd, signal, clearEnv: true, env: { ...env }, stdin: "null" },
  });
  const { code, stdout, stderr } = await command.output();
  if (code === 0) return;
  const text = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes)).join("");
  throw new Error(`${program} ended with code ${code}: ${text.slice(-4_000)}`);
}

function given(names: readonly string[]): Readonly<Record<string, string>> {
  return Object.fromEntries(names.flatMap((name) => {
    const value = Deno.env.get(name);
    return value === undefined ? [] : [[name, value] as const];
  }));
}

/** The account's toolchains are used, its caches are not: `HOME` is empty. */
function toolchains(): Readonly<Record<string, string>> {
  return { RUSTUP_HOME: `${Deno.env.get("HOME") ?? "/root"}/.rustup`, ...given(TOOLCHAINS) };
}
