/**
 * Requests about the runner and its queues.
 *
 * Each function throws what {@linkcode RunnerTransport.json} throws.
 *
 * @module
 */
import { queueSchema } from "@lib/api/answers.ts";
import { reading, type ReadingOf } from "@lib/api/client/reading.ts";
import type { RunnerTransport } from "@lib/api/client/transport.ts";
import { projectDetailSchema, statusSchema } from "@lib/features/status/answers.ts";

/** The runner at a glance. */
export type StatusAnswer = ReadingOf<typeof statusSchema>;
/** A queue: of one project, or of all. */
export type QueueAnswer = ReadingOf<typeof queueSchema>;
/** A project, its queue and its agent. */
export type ProjectDetailAnswer = ReadingOf<typeof projectDetailSchema>;

/** A change of a queue. */
export type QueueVerb = "pause" | "resume" | "drain";

const readStatus = reading(statusSchema, "the status");
const readProject = reading(projectDetailSchema, "the project");
const readQueue = reading(queueSchema, "the queue");

/** Returns the runner at a glance. */
export function showStatus(runner: RunnerTransport, signal: AbortSignal) {
  return runner.ask(readStatus, { path: "/v1/status", signal });
}

/** Returns a project, its queue and its agent. */
export function showProject(runner: RunnerTransport, project: string, signal: AbortSignal) {
  return runner.ask(readProject, { path: `/v1/${scopeOf(project)}`, signal });
}

/** Changes a queue. @param project Absent: all projects. */
export function changeQueue(
  runner: RunnerTransport,
  { verb, project }: { readonly verb: QueueVerb; readonly project: string | undefined },
  signal: AbortSignal,
): Promise<QueueAnswer> {
  return runner.ask(readQueue, { method: "POST", path: `/v1/${scopeOf(project)}/${verb}`, signal });
}

function scopeOf(project: string | undefined): string {
  return project === undefined ? "queue" : `projects/${encodeURIComponent(project)}`;
}
