/**
 * Requests about terminals.
 *
 * Each function throws what {@linkcode RunnerTransport.json} throws.
 *
 * @module
 */
import { reading, type ReadingOf } from "@lib/api/client/reading.ts";
import type { RunnerTransport } from "@lib/api/client/transport.ts";
import { endedTerminalSchema, terminalListSchema } from "@lib/features/terminals/answers.ts";

const readList = reading(terminalListSchema, "the terminals");
const readEnded = reading(endedTerminalSchema, "the terminal");

/** The open terminals. */
export type TerminalListAnswer = ReadingOf<typeof terminalListSchema>;

/** Lists the open terminals. */
export function listTerminals(runner: RunnerTransport, signal: AbortSignal) {
  return runner.ask(readList, { path: "/v1/terminals", signal });
}

/** Ends a terminal. */
export function killTerminal(
  runner: RunnerTransport,
  { project, id }: { readonly project: string; readonly id: string },
  signal: AbortSignal,
) {
  const path = `/v1/projects/${encodeURIComponent(project)}/terminals/${id}/kill`;
  return runner.ask(readEnded, { method: "POST", path, signal });
}
