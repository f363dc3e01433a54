/**
 * The floor under a job's processor time: what the service manager and the runtime take themselves.
 *
 * Two contenders, of which neither does the other's part: the product's own units, started by a bare
 * client of the service manager's socket; and two bare servers on the product's runtime, of which
 * the first stores each job in one durable commit and passes it to the second, which does the same.
 *
 * @module
 */
import { newJobId, parseJobId, parseProjectName, type ProjectName } from "@lib/core/ids.ts";
import { UserManager } from "@lib/foundations/systemd/manager.ts";
import {
  jobUnitName,
  projectSliceName,
  type UnitName,
} from "@lib/foundations/systemd/unit_name.ts";
import { readSpec } from "@lib/spine/attempts/attempt_files.ts";
import { RuntimeFiles } from "@lib/spine/executors/runtime_files.ts";
import { jobUnitProperties } from "@lib/spine/executors/unit_properties.ts";
import { attemptDirectory } from "@lib/spine/jobs/attempt_directory.ts";
import type { JobSpec } from "@lib/spine/spec/job_spec.ts";
import { UnixClient } from "@lib/foundations/http/unix_client.ts";
import { runtimePath } from "./activated_peers.ts";
import { PROJECT, sendJson } from "./product.ts";
import { systemctl } from "./programs.ts";

const RUNTIME = Deno.env.get("XDG_RUNTIME_DIR") ?? "/run";
const HOME = Deno.env.get("HOME") ?? "/";
const FLOOR = projectNamed("benchfloor");
/** On the disk of the product's state. */
const STATE = `${HOME}/.local/state/bench-floor`;

/** The slice of the bare units. */
export const FLOOR_SLICE = projectSliceName(FLOOR);
/** The service of the server that takes requests, and of the one behind it. */
export const FRONT_UNIT = "bench-front.service";
/** See {@linkcode FRONT_UNIT}. */
export const BACK_UNIT = "bench-back.service";

const SERVER = `import { Agent, createServer, request } from "node:http";
import { DatabaseSync } from "node:sqlite";
import { rmSync } from "node:fs";
const [own, next] = Deno.args;
rmSync("${RUNTIME}/bench-" + own + ".sock", { force: true });
const db = new DatabaseSync("${STATE}/" + own + ".db");
for (const pragma of ["journal_mode=WAL", "synchronous=FULL"]) db.prepare("PRAGMA " + pragma).all();
db.exec("CREATE TABLE IF NOT EXISTS jobs (id INTEGER PRIMARY KEY, body TEXT)");
const insert = db.prepare("INSERT INTO jobs (body) VALUES (?)");
const agent = new Agent({ keepAlive: true });
const answer = JSON.stringify({ state: "succeeded", text: "x".repeat(700) });
const forward = (body) => new Promise((resolve, reject) => {
  const path = "/", method = "PUT", socketPath = "${RUNTIME}/bench-" + next + ".sock";
  const length = Buffer.byteLength(body);
  request({ agent, socketPath, path, method, headers: { "content-length": length } }, (response) => {
    response.resume().on("end", resolve);
  }).on("error", reject).end(body);
});
createServer(async (incoming, outgoing) => {
  let body = "";
  for await (const chunk of incoming) body += chunk;
  if (body !== "") insert.run(body);
  if (body !== "" && next !== undefined) await forward(body + " ".repeat(400));
  outgoing.end(answer);
}).listen("${RUNTIME}/bench-" + own + ".sock");
`;

/** Starts both servers. */
export async function startServers(): Promise<void> {
  await Deno.mkdir(STATE, { recursive: true });
  await Deno.writeTextFile(`${STATE}/server.js`, SERVER);
  const units = [[BACK_UNIT, "back"], [FRONT_UNIT, "front back"]] as const;
  for (const [name, args] of units) {
    const text = `[Service]
Environment=DENO_DIR=%h/.cache/bench-bare
ExecStart=${await runtimePath()} run --no-config --no-lock --no-remote --no-npm --allow-all \\
  ${STATE}/server.js ${args}
`;
    await Deno.writeTextFile(`${HOME}/.config/systemd/user/${name}`, text);
  }
  await systemctl("daemon-reload");
  await systemctl("restart", ...units.map(([name]) => name));
}

/** Sends the requests of so many jobs to the servers: one that submits, and one that waits. */
export async function passRequests(jobs: number, signal: AbortSignal): Promise<void> {
  using front = new Front(signal);
  for (let count = 0; count < jobs; count++) await front.submit();
  for (let count = 0; count < jobs; count++) await front.wait();
}

/**
 * Runs so many jobs of the floor: each passes through both servers, which commit it, and is a unit.
 * Starts the units itself, in the place of the server behind.
 */
export async function runFloor(
  units: BareUnits,
  { jobs, parallel, signal }: {
    readonly jobs: number;
    readonly parallel: number;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  using front = new Front(signal);
  await units.run(jobs, parallel, signal, async (unit) => {
    await front.submit();
    await unit();
    await front.wait();
  });
}

/** A client of the first server. */
class Front implements Disposable {
  readonly #client = new UnixClient(`${RUNTIME}/bench-front.sock`);
  readonly #signal: AbortSignal;

  constructor(signal: AbortSignal) {
    this.#signal = signal;
  }

  submit(): Promise<void> {
    return this.#ask("POST", { project: PROJECT, command: ["/bin/true"] });
  }

  wait(): Promise<void> {
    return this.#ask("GET");
  }

  async #ask(method: string, body?: unknown): Promise<void> {
    const request = { method, path: "/v1/jobs", body, signal: this.#signal };
    using response = await sendJson(this.#client, request);
    JSON.parse(await response.text());
  }

  [Symbol.dispose](): void {
    this.#client[Symbol.dispose]();
  }
}

/** Starts units as the product does, without it. */
export class BareUnits implements AsyncDisposable {
  readonly #manager: UserManager;
  readonly #spec: JobSpec;
  readonly #managerEnvironment: readonly string[];
  readonly #gone = new Map<UnitName, () => void>();

  private constructor(manager: UserManager, spec: JobSpec, names: readonly string[]) {
    this.#manager = manager;
    this.#spec = spec;
    this.#managerEnvironment = names;
    manager.onUnitRemoved((unit) => this.#gone.get(unit)?.());
  }

  /** @param job The id of a job of the product that has run: its spec is that of the units. */
  static async open(job: string, signal: AbortSignal): Promise<BareUnits> {
    const jobId = parseJobId(job);
    const project = projectNamed(PROJECT);
    const state = `${HOME}/.local/state/cicd-toolkit`;
    const spec = jobId &&
      await readSpec(attemptDirectory(state, { project, jobId, number: 1 }));
    if (spec === undefined) throw new Error(`Cannot read the spec of job "${job}"`);
    const manager = await UserManager.connectDirectly({ XDG_RUNTIME_DIR: RUNTIME }, signal);
    return new BareUnits(manager, spec, await manager.environmentNames(signal));
  }

  /**
   * Runs so many units, `parallel` at once, each to the end of its recorder.
   *
   * @param around Called for each unit, which it runs with the function it is given.
   */
  async run(
    jobs: number,
    parallel: number,
    signal: AbortSignal,
    around: (unit: () => Promise<void>) => Promise<void> = (unit) => unit(),
  ): Promise<void> {
    let left = jobs;
    const worker = async () => {
      while (left-- > 0) await around(() => this.#runOne(signal));
    };
    await Promise.all(Array.from({ length: parallel }, worker));
  }

  async #runOne(signal: AbortSignal): Promise<void> {
    const ref = { project: FLOOR, jobId: newJobId(), number: 1 };
    const directory = attemptDirectory(STATE, ref);
    Deno.mkdirSync(directory.workspace, { recursive: true });
    const unit = jobUnitName(ref);
    const properties = jobUnitProperties({
      ref,
      spec: this.#spec,
      env: { HOME, PATH: "/usr/local/bin:/usr/bin:/bin", CI: "true" },
      secrets: new Map(),
      directory,
    }, {
      workdir: directory.workspace,
      argv: ["/bin/true"],
      environment: { HOME, PATH: "/usr/local/bin:/usr/bin:/bin", CI: "true" },
      managerEnvironment: this.#managerEnvironment,
      runtimeDir: RUNTIME,
      recorder: new RuntimeFiles(RUNTIME).recorder(),
    });
    const gone = new Promise<void>((resolve) => this.#gone.set(unit, resolve));
    await this.#manager.startTransientService(unit, properties, signal);
    await gone;
    this.#gone.delete(unit);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#manager[Symbol.asyncDispose]();
  }
}

function projectNamed(text: string): ProjectName {
  const project = parseProjectName(text);
  if (project === undefined) throw new TypeError(`"${text}" is no name of a project`);
  return project;
}
