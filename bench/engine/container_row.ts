/**
 * Measures the overhead over the engine's own calls for a container.
 *
 * @module
 */
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
  for (let round = -2; round < rounds; round++) {
    const begun = performance.now();
    const id = await stage.submit({ image, network: "none", command: ["/bin/true"] }, signal);
    await stage.succeeded(id, signal);
    const oursMs = performance.now() - begun;
    await rest(REMOVAL_MS, signal);
    const rawMs = await runRaw(stage.raw, { image, directory: stage.directory, signal });
    await rest(REMOVAL_MS, signal);
    if (round < 0) continue;
    ours.push(oursMs);
    raw.push(rawMs);
    overhead.push(oursMs - rawMs);
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
    peers: [],
    target: 12,
    notes: [],
  }];
}

interface RawRun {
  readonly image: string;
  /** Mounted in place of a job's workspace and home. */
  readonly directory: string;
  readonly signal: AbortSignal;
}

/**
 * Runs the same container through the engine's API, one call after the other, and removes it.
 *
 * @returns Milliseconds until it had ended.
 */
async function runRaw(client: UnixClient, { image, directory, signal }: RawRun): Promise<number> {
  const begun = performance.now();
  const call = (method: string, path: string, body?: unknown) =>
    callRaw(client, { method, path, body, signal });
  const mount = (target: string) => ({ Type: "bind", Source: directory, Target: target });
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
  await call("POST", `/containers/${id}/start`);
  await call("POST", `/containers/${id}/wait`);
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
