/**
 * Measures a large log of a container: its rate, and the agent's memory.
 *
 * @module
 */
import type { Comparison } from "../report.ts";
import { textOf } from "../driver/product.ts";
import type { EngineBench } from "./bench.ts";
import { callRaw } from "./container_row.ts";

const LINE_BYTES = 1_000;
const MIB = 1_024 * 1_024;
const SAMPLE_MS = 100;

/** Measures a follower of a container's log against `docker run` with a pipe. */
export async function measureContainerLog(bench: EngineBench): Promise<readonly Comparison[]> {
  const { stage, image, quick, signal } = bench;
  const bytes = (quick ? 50 : 500) * 1_000_000;
  const script = `line=$(printf '%0${LINE_BYTES - 1}d' 7); yes "$line" | head -c ${bytes}`;
  const rates: number[] = [];
  const peaks: number[] = [];
  const cli: number[] = [];
  const floor: number[] = [];
  // The agent that is measured runs from now on.
  const first = await stage.submit({ image, network: "none", command: ["/bin/true"] }, signal);
  await stage.succeeded(first, signal);
  for (let round = 0; round < (quick ? 1 : 3); round++) {
    const begun = performance.now();
    const id = await stage.submit({ image, network: "none", script, log_max: "1G" }, signal);
    const log = await stage.send("GET", `/v1/jobs/${id}/logs?follow=1`, signal);
    const stop = new AbortController();
    const peak = peakRss(stage.agentPid(), stop.signal);
    let seen = 0;
    for await (const chunk of log.body) seen += chunk.length;
    rates.push(seen / MIB / (performance.now() - begun) * 1_000);
    stop.abort();
    peaks.push(await peak / MIB);
    if (seen < bytes) throw new Error(`Lost ${bytes - seen} of ${bytes} bytes`);
    await stage.succeeded(id, signal);
    cli.push(await followByCli(bench, script));
    floor.push(await copyBare(bench, script));
  }
  return [{
    name: "container log, 500 MB",
    unit: "MiB/s",
    better: "higher",
    ours: { name: "follower over HTTP, log kept in the job's directory", samples: rates },
    peers: [
      { name: "docker run, output read from a pipe", samples: cli },
      { name: "floor: a program that copies the engine's stream to a file", samples: floor },
    ],
    notes: [
      "the floor reads the stored output as ours must, so that the job needs no program to be alive",
    ],
  }, {
    name: "agent during 500 MB of container log, peak RSS",
    unit: "MiB",
    better: "lower",
    ours: { name: "cicd-agent", samples: peaks },
    peers: [],
    target: 120,
    notes: [],
  }];
}

/** Follows the same container with the engine's own client; returns MiB/s. */
async function followByCli(
  { stage, image, signal }: EngineBench,
  script: string,
): Promise<number> {
  const begun = performance.now();
  const child = new Deno.Command("docker", {
    args: [
      ...["-H", `unix://${stage.engine.socket}`, "run", "--rm", "--network=none", image],
      ...["/bin/sh", "-c", script],
    ],
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
    signal,
  }).spawn();
  let seen = 0;
  for await (const chunk of child.stdout) seen += chunk.length;
  await child.status;
  return seen / MIB / (performance.now() - begun) * 1_000;
}

/**
 * Follows the log that the engine keeps of the same container, over the raw socket, into a file, and
 * does nothing else; returns MiB/s.
 */
async function copyBare({ stage, image, signal }: EngineBench, script: string): Promise<number> {
  const begun = performance.now();
  const call = (method: string, path: string, body?: unknown) =>
    callRaw(stage.raw, { method, path, body, signal });
  const HostConfig = { NetworkMode: "none", LogConfig: { Type: "local", Config: LOG_CONFIG } };
  const body = { Image: image, Entrypoint: ["/bin/sh", "-c", script], HostConfig };
  const id = textOf(await call("POST", "/containers/create", body), "Id");
  await call("POST", `/containers/${id}/start`);
  const path = `${stage.directory}/floor.log`;
  let seen = 0;
  {
    using file = await Deno.open(path, { create: true, truncate: true, write: true });
    using connection = await Deno.connect({ transport: "unix", path: stage.engine.socket });
    const target = `/containers/${id}/logs?follow=1&stdout=1&stderr=1`;
    const request = new TextEncoder().encode(`GET ${target} HTTP/1.0\r\nHost: localhost\r\n\r\n`);
    await connection.write(request);
    const buffer = new Uint8Array(64 * 1_024);
    for (let count; (count = await connection.read(buffer)) !== null;) {
      file.writeSync(buffer.subarray(0, count));
      seen += count;
    }
  }
  const rate = seen / MIB / (performance.now() - begun) * 1_000;
  await call("DELETE", `/containers/${id}?force=1`);
  await Deno.remove(path);
  return rate;
}

/** As the product's for this job. */
const LOG_CONFIG = { "max-size": "2G", "max-file": "2", compress: "false" };

/** Returns the peak memory of a process until `signal` aborts, in bytes. */
async function peakRss(pid: Promise<number>, signal: AbortSignal): Promise<number> {
  const status = `/proc/${await pid}/status`;
  let peak = 0;
  while (!signal.aborted) {
    const kib = Number(/^VmRSS:\s+(\d+) kB/m.exec(await Deno.readTextFile(status))?.[1] ?? 0);
    peak = Math.max(peak, kib * 1_024);
    await new Promise((resolve) => setTimeout(resolve, SAMPLE_MS));
  }
  return peak;
}
