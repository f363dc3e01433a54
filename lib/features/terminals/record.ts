/**
 * The record of an open terminal, by which a later agent takes it over.
 *
 * @module
 */
import * as v from "valibot";
import { readIfThereSync } from "@lib/foundations/files/records.ts";

const recordSchema = v.object({
  id: v.string(),
  by: v.string(),
  started_at: v.number(),
  command: v.string(),
  columns: v.number(),
  rows: v.number(),
  device: v.string(),
  recorded: v.boolean(),
});

/** The facts of a terminal that a later agent needs. */
export type TerminalRecord = v.InferOutput<typeof recordSchema>;

/** Reads a record; `undefined` if there is none, or it is of another release. */
export function readRecord(path: string): TerminalRecord | undefined {
  const text = readIfThereSync(path);
  if (text === undefined) return undefined;
  const parsed = v.safeParse(recordSchema, JSON.parse(text));
  return parsed.success ? parsed.output : undefined;
}
