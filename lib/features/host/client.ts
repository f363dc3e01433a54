/**
 * Requests about the machine.
 *
 * @module
 */
import { reading, type ReadingOf } from "@lib/api/client/reading.ts";
import type { RunnerTransport } from "@lib/api/client/transport.ts";
import { hostSchema } from "@lib/features/host/answers.ts";

/** The machine at one moment. */
export type HostAnswer = ReadingOf<typeof hostSchema>;

const readHost = reading(hostSchema, "the machine");

/** Returns the machine, with its inventory; throws what {@linkcode RunnerTransport.json} throws. */
export function showHost(runner: RunnerTransport, signal: AbortSignal): Promise<HostAnswer> {
  return runner.ask(readHost, { path: "/v1/host", signal });
}
