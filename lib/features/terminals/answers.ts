/**
 * The answers about terminals.
 *
 * @module
 */
import * as v from "valibot";
import { added, count, jobId, project, time } from "@lib/api/answers.ts";

/** An open terminal. */
const terminalSchema = v.object({
  id: v.string(),
  project,
  job: added(v.pipe(
    v.nullable(jobId),
    v.description("The job in whose place it is; null: it is the project's"),
  )),
  by: v.pipe(v.string(), v.description("Who opened it")),
  command: v.string(),
  title: v.pipe(
    v.string(),
    v.description("As its program has set it, without control characters"),
  ),
  foreground: v.pipe(v.string(), v.description("The program in the foreground")),
  started_at: time,
  idle_seconds: v.pipe(count, v.description("Since somebody typed into it, or joined it")),
  columns: count,
  rows: count,
  recording: v.boolean(),
  stalled_seconds: v.nullable(v.pipe(
    v.number(),
    v.description("For how long its program has been held, because a viewer does not keep up"),
  )),
  viewers: v.array(v.object({
    by: v.string(),
    role: v.picklist(["writer", "viewer"]),
    since: time,
  })),
});

/** The open terminals. */
export const terminalListSchema = v.object({ terminals: v.array(terminalSchema) });

/** A terminal that was ended. */
export const endedTerminalSchema = v.object({ id: v.string() });

/** An open terminal, as an agent tells it. */
export type TerminalAnswer = v.InferInput<typeof terminalSchema>;
