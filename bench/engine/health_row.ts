/**
 * Measures a health check while jobs run.
 *
 * @module
 */
import type { Comparison } from "../report.ts";
import { rest } from "../driver/product.ts";
import type { EngineBench } from "./bench.ts";

const JOBS = 8;

/** Measures `GET /health` while eight containers print and work. */
export async function measureHealth(bench: EngineBench): Promise<readonly Comparison[]> {
  const { stage, image, quick, signal } = bench;
  const count = quick ? 50 : 500;
  const ask = async () => {
    const begun = performance.now();
    await (await stage.send("GET", "/health", signal)).text();
    return performance.now() - begun;
  };
  await ask();
  const idle = await several(count, ask, signal);
  const script = "while :; do echo working; sleep 0.05; done";
  const ids: string[] = [];
  for (let job = 0; job < JOBS; job++) {
    ids.push(await stage.submit({ image, network: "none", script, grace: 0 }, signal));
  }
  for (const id of ids) await firstByte(bench, id);
  const busy = await several(count, ask, signal);
  for (const id of ids) await stage.send("POST", `/v1/jobs/${id}/cancel`, signal);
  for (const id of ids) await (await stage.send("GET", `/v1/jobs/${id}/wait`, signal)).text();
  return [{
    name: `GET /health while ${JOBS} containers run`,
    unit: "ms",
    better: "lower",
    ours: { name: "kept connection", samples: busy },
    peers: [{ name: "ours while nothing runs", samples: idle }],
    target: 5,
    notes: [],
  }];
}

async function firstByte({ stage, signal }: EngineBench, id: string): Promise<void> {
  using log = await stage.send("GET", `/v1/jobs/${id}/logs?follow=1`, signal);
  for await (const chunk of log.body) if (chunk.length > 0) return;
}

async function several(
  count: number,
  ask: () => Promise<number>,
  signal: AbortSignal,
): Promise<readonly number[]> {
  const samples: number[] = [];
  for (let index = 0; index < count; index++) {
    samples.push(await ask());
    await rest(5, signal);
  }
  return samples;
}
