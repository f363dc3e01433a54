/**
 * The record of an open terminal, by which a later agent takes it over.
 *
 * @module
 */
import * as v from "valibot";
import { readIfThereSync } from "@lib/foundations/files/records.ts";
import { cells, jsonOf } from "@lib/features/terminals/protocol.ts";

const recordSchema = v.object({
  id: v.string(),
  by: v.string(),
  started_at: v.number(),
  command: v.string(),
  columns: cells,
  rows: cells,
  device: v.string(),
  recorded: v.boolean(),
  job: v.exactOptional(v.string()),
  owned: v.exactOptional(v.boolean()),
});

/** The facts of a terminal that a later agent needs. */
export type TerminalRecord = v.InferOutput<typeof recordSchema>;

/** Reads the record of a terminal; `undefined` if there is none that can be used. */
export function readRecord(directory: string, id: string): TerminalRecord | undefined {
  const text = readIfThereSync(`${directory}/${id}/record.json`);
  const parsed = v.safeParse(recordSchema, jsonOf(text ?? ""));
  return parsed.success && parsed.output.id === id ? parsed.output : undefined;
}
