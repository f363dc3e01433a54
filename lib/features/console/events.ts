/**
 * Events for the console.
 *
 * The console reads `eventType` and the programs written for it `event_type`; a type that it does not
 * list, it would store as a deployment.
 *
 * @module
 */
import { toRfc3339 } from "@lib/core/clock.ts";
import type { Payload } from "@lib/features/console/wire.ts";
import { isTerminal, type Job } from "@lib/spine/jobs/model.ts";

/** The types in use. */
export type EventType = "CONNECT" | "DISCONNECT" | "HEARTBEAT_RECOVERED" | "ERROR";

/** Makes the payload of `event`. */
export function eventPayload(
  type: EventType,
  { instanceId, at, message, metadata = {} }: {
    readonly instanceId: string;
    readonly at: number;
    readonly message: string;
    readonly metadata?: Readonly<Record<string, string>>;
  },
): Payload {
  return {
    instance_id: instanceId,
    event_type: type.toLowerCase(),
    eventType: type,
    message,
    metadata,
    timestamp: toRfc3339(at),
  };
}

/** Returns what to tell of a change of a job; `undefined` unless it ended badly. */
export function jobEvent(job: Job, before: Job | undefined) {
  const { id, spec: { project }, state, reason } = job;
  if (before === undefined || isTerminal(before.state) || !isTerminal(state)) return undefined;
  if (state === "succeeded" || state === "cancelled") return undefined;
  return {
    message: `Job ${id} of project ${project} ended as ${state}`,
    metadata: {
      job: id,
      project,
      state,
      ...(reason === null || reason === undefined ? {} : { reason: String(reason) }),
    },
  };
}
