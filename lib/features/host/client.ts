/**
 * Requests about the machine.
 *
 * @module
 */
import * as v from "valibot";
import { count, queueSchema } from "@lib/api/answers.ts";
import { reading, type ReadingOf } from "@lib/api/client/reading.ts";
import type { RunnerTransport } from "@lib/api/client/transport.ts";
import { hostSchema } from "@lib/features/host/answers.ts";

/** The machine at one moment. */
export type HostAnswer = ReadingOf<typeof hostSchema>;

/** The part of the status that `top` shows. */
const queueOverviewSchema = v.object({
  version: v.string(),
  ...queueSchema.entries,
  max_running: count,
  ready: v.boolean(),
  reasons: v.array(v.string()),
});

/** The queue and how the runner is. */
export type QueueOverview = ReadingOf<typeof queueOverviewSchema>;

const readQueue = reading(queueOverviewSchema, "the status");
const readHost = reading(hostSchema, "the machine");

/** Returns the machine, with its inventory; throws what {@linkcode RunnerTransport.json} throws. */
export function showHost(runner: RunnerTransport, signal: AbortSignal): Promise<HostAnswer> {
  return runner.ask(readHost, { path: "/v1/host", signal });
}

/** Returns the machine without its inventory. */
export function sampleOfHost(runner: RunnerTransport, signal: AbortSignal): Promise<HostAnswer> {
  return runner.ask(readHost, { path: "/v1/host?sample", signal });
}

/** Returns the queue, and how the runner is. */
export function showQueue(runner: RunnerTransport, signal: AbortSignal): Promise<QueueOverview> {
  return runner.ask(readQueue, { path: "/v1/status", signal });
}
