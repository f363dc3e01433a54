/**
 * Starts one attempt in a container and stays with it, until it is killed.
 *
 * Reads the attempt as JSON from its one argument; says `started` when the container was.
 *
 * @module
 */
import * as v from "valibot";
import assert from "node:assert/strict";
import { parseJobId, parseProjectName } from "@lib/core/ids.ts";
import { attemptDirectory } from "@lib/spine/jobs/attempt_directory.ts";
import { specRecord } from "@lib/spine/spec/job_spec.ts";
import { containerContract } from "./container_bench.ts";

/** The input of the process. */
export interface StarterOrder {
  readonly host: string;
  readonly stateDir: string;
  readonly project: string;
  readonly jobId: string;
  readonly spec: unknown;
  readonly env: Readonly<Record<string, string>>;
}

if (import.meta.main) {
  const order: StarterOrder = JSON.parse(Deno.args[0] ?? "");
  const project = parseProjectName(order.project);
  const jobId = parseJobId(order.jobId);
  assert(project !== undefined && jobId !== undefined);
  const ref = { project, jobId, number: 1 };
  const directory = attemptDirectory(order.stateDir, ref);
  const executor = await containerContract(order).create(project, order.stateDir);
  const attempt = { ref, spec: v.parse(specRecord, order.spec), directory };
  const signal = AbortSignal.timeout(60_000);
  await executor.start({ ...attempt, env: order.env, secrets: new Map() }, signal);
  console.log("started");
  await executor.ended(attempt, signal);
}
