/**
 * Measures the overhead over the engine's own calls for a container.
 *
 * @module
 */
import { DatabaseSync } from "node:sqlite";
import type { UnixClient } from "@lib/foundations/http/unix_client.ts";
import type { Comparison } from "../report.ts";
import { rest, textOf } from "../driver/product.ts";
import type { EngineBench } from "./bench.ts";

/** Time for the removal of a container, which is not measured. */
const REMOVAL_MS = 100;

/** Measures a container job against the engine's own calls for the same container. */
export async function measureContainer(bench: EngineBench): Promise<readonly Comparison[]> {
  const { stage, image, quick, say, signal } = bench;
  const rounds = quick ? 5 : 60;
  const ours: number[] = [];
  const raw: number[] = [];
  const overhead: number[] = [];
  const floor: number[] = [];
  using store = new BareStore(stage.directory);
  for (let round = -2; round < rounds; round++) {
    const begun = performance.now();
    const id = await stage.submit({ image, network: "none", command: ["/bin/true"] }, signal);
    await stage.succeeded(id, signal);
    const oursMs = performance.now() - begun;
    await rest(REMOVAL_MS, signal);
    const rawMs = await runRaw(stage.raw, { image, directory: stage.directory, signal });
    await rest(REMOVAL_MS, signal);
    const safeMs = await runRaw(stage.raw, { image, directory: stage.directory, store, signal });
    await rest(REMOVAL_MS, signal);
    if (round < 0) continue;
    ours.push(oursMs);
    raw.push(rawMs);
    overhead.push(oursMs - rawMs);
    floor.push(safeMs - rawMs);
    if (round % 20 === 19) say(`${round + 1} of ${rounds}`);
  }
  return [{
    name: "container job, submitted → ended",
    unit: "ms",
    better: "lower",
    ours: { name: "POST /v1/jobs, image, workspace, log, durable row", samples: ours },
    peers: [{ name: "engine: create, start, wait", samples: raw }],
    notes: [
      "both containers have the same settings; the peer's output stays in the engine",
      "both are removed afterwards, in the pause that follows",
    ],
  }, {
    name: "container job, overhead over the engine's own calls",
    unit: "ms",
    better: "lower",
    ours: { name: "difference of adjacent samples in one run", samples: overhead },
    peers: [{ name: "floor: one bare client with the calls of a safe job", samples: floor }],
    target: 12,
    notes: [
      "the floor commits the job, inspects the image, makes the log file, and after the end reads the " +
      "output and the state, writes a record and commits the end; it has one program and no queue",
    ],
  }];
}

interface RawRun {
  readonly image: string;
  /** Mounted in place of a job's workspace and home. */
  readonly directory: string;
  /** Set: also makes the calls without which a job is not safe. */
  readonly store?: BareStore;
  readonly signal: AbortSignal;
}

/** Keeps jobs as safely as the product does: one durable commit for each change. */
class BareStore implements Disposable {
  readonly #db: DatabaseSync;
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
    this.#db = new DatabaseSync(`${directory}/floor.db`);
    for (const pragma of ["journal_mode=WAL", "synchronous=FULL"]) {
      this.#db.prepare(`PRAGMA ${pragma}`).all();
    }
    this.#db.exec("CREATE TABLE jobs (id INTEGER PRIMARY KEY, body TEXT)");
  }

  commit(body: unknown): void {
    this.#db.prepare("INSERT INTO jobs (body) VALUES (?)").run(JSON.stringify(body));
  }

  /** Writes a file whole or not at all. */
  async write(name: string, bytes: string): Promise<void> {
    const path = `${this.#directory}/floor.${name}`;
    await Deno.writeTextFile(`${path}.draft`, bytes);
    await Deno.rename(`${path}.draft`, path);
  }

  [Symbol.dispose](): void {
    this.#db.close();
  }
}

/**
 * Runs the same container through the engine's API, one call after the other, and removes it.
 *
 * @returns Milliseconds until it had ended.
 */
async function runRaw(
  client: UnixClient,
  { image, directory, store, signal }: RawRun,
): Promise<number> {
  const begun = performance.now();
  const call = (method: string, path: string, body?: unknown) =>
    callRaw(client, { method, path, body, signal });
  const mount = (target: string) => ({ Type: "bind", Source: directory, Target: target });
  store?.commit({ image, directory });
  if (store !== undefined) await call("GET", `/images/${image}/json`);
  const created = await call("POST", "/containers/create", {
    Image: image,
    Entrypoint: ["/bin/true"],
    WorkingDir: "/workspace",
    HostConfig: {
      NetworkMode: "none",
      Mounts: [mount("/workspace"), mount("/home/job")],
      PidsLimit: 4_096,
      CapDrop: ["ALL"],
      SecurityOpt: ["no-new-privileges"],
      Init: true,
      LogConfig: { Type: "local", Config: { compress: "false" } },
    },
  });
  const id = textOf(created, "Id");
  await store?.write("log", "");
  await call("POST", `/containers/${id}/start`);
  await call("POST", `/containers/${id}/wait`);
  if (store !== undefined) {
    const logs = client.send({ method: "GET", path: `/containers/${id}/logs?stdout=1`, signal });
    const [output, state] = await Promise.all([
      logs.then((answer) => answer.text()),
      call("GET", `/containers/${id}/json`),
    ]);
    await store.write("log", output);
    await store.write("result", textOf(state, "Id"));
    store.commit({ state: "succeeded" });
  }
  const endedMs = performance.now() - begun;
  await call("DELETE", `/containers/${id}`);
  return endedMs;
}

/** Calls the engine's API; returns the parsed answer. */
export async function callRaw(
  client: UnixClient,
  { method, path, body, signal }: {
    readonly method: string;
    readonly path: string;
    readonly body?: unknown;
    readonly signal: AbortSignal;
  },
): Promise<unknown> {
  const answer = await client.send({
    method,
    path,
    signal,
    headers: { "content-type": "application/json" },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await answer.text();
  if (answer.status >= 300) throw new Error(`The engine returned ${answer.status}: ${text}`);
  return text === "" ? undefined : JSON.parse(text);
}
