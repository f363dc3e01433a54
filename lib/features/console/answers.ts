/**
 * The answer about the console link.
 *
 * @module
 */
import * as v from "valibot";
import { count, time } from "@lib/api/answers.ts";
import { STATES } from "@lib/features/console/states.ts";

const text = v.string();

/** The console link. */
export const consoleSchema = v.object({
  state: v.pipe(v.picklist(STATES), v.description("`off`: no console is configured")),
  detail: v.pipe(text, v.description("More about the state, one sentence; may be empty")),
  since: v.nullable(time),
  url: v.nullable(text),
  instance_id: v.nullable(text),
  registration: v.pipe(
    v.nullable(v.object({ state: text, detail: text })),
    v.description("`pending`, `done`, or the state that an attempt ended in"),
  ),
  acknowledged_at: v.pipe(
    v.nullable(time),
    v.description("When the console last acknowledged a heartbeat"),
  ),
  next_try_at: v.nullable(time),
  connections: v.pipe(count, v.description("Connections with an acknowledged heartbeat")),
  refused_frames: v.pipe(
    count,
    v.description("Frames that a browser could have forged, and the link refused"),
  ),
  unusable_frames: count,
  waiting: v.pipe(count, v.description("Messages that are not known to have arrived")),
  refused_requests: v.pipe(
    count,
    v.description("Commands and terminals that are not allowed here, or unusable"),
  ),
  last_refusal: v.nullable(text),
  messages: v.record(text, v.object({ sent: count, dropped: count })),
  warnings: v.pipe(v.array(text), v.description("Dangers of the settings, and values left out")),
});

/** The answer, as it is made. */
export type ConsoleAnswer = v.InferInput<typeof consoleSchema>;
