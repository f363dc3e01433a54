/**
 * The answers about the runner and its projects.
 *
 * @module
 */
import * as v from "valibot";
import { added, count, project, projectSchema, queueSchema, time } from "@lib/api/answers.ts";

/** Readiness. */
export const readySchema = v.object({ ready: v.boolean(), reasons: v.array(v.string()) });

/** The runner at a glance. */
export const statusSchema = v.object({
  version: v.string(),
  build: v.string(),
  pid: count,
  started_at: time,
  agents: v.pipe(v.string(), v.description("Start method of agents: systemd or child")),
  state_dir: v.string(),
  ...queueSchema.entries,
  max_running: count,
  ready: v.boolean(),
  reasons: v.array(v.string()),
  unreadable_secrets: added(
    v.pipe(v.number(), v.description("Jobs whose secrets were sealed with another key file")),
  ),
  agent_problems: added(v.pipe(
    v.array(v.object({ project, reason: v.string(), since: time })),
    v.description("Agents that did not answer, or could not do their work, when last asked"),
  )),
  links: added(v.pipe(
    v.array(v.object({
      name: v.string(),
      state: v.string(),
      detail: v.string(),
      since: time,
      is_good: v.boolean(),
    })),
    v.description("Links to other systems, such as the fleet console; only those configured"),
  )),
  warnings: added(
    v.pipe(v.array(v.string()), v.description("Dangers of the configuration")),
  ),
});

/** A project, its queue and its agent. */
export const projectDetailSchema = v.object({
  ...projectSchema.entries,
  agent: v.looseObject({
    running: v.boolean(),
    limits: v.exactOptional(v.pipe(
      v.record(v.string(), v.number()),
      v.description("Limits of all jobs of the project together, such as `memory_bytes`"),
    )),
  }),
});
