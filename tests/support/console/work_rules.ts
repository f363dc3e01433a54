/**
 * The console's reading of terminals and results of commands.
 *
 * @module
 */
import type { AgentEnvelope } from "./envelope.ts";
import { type Fault, fault, holdsNul, readRecord, textFaults } from "./verdict.ts";

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** Returns what is wrong with a message of a terminal. */
export function terminalFaults({ type, sessionId, payload }: AgentEnvelope): Fault[] {
  if (sessionId === undefined || sessionId === "") {
    return [fault("dropped", `${type}: no session_id beside the payload`)];
  }
  const record = readRecord(payload);
  if (record === undefined) return [fault("dropped", `${type}: the payload is no object`)];
  const faults: Fault[] = [];
  if (record["session_id"] !== sessionId) {
    faults.push(fault("misread", `${type}: session_id of the payload is another one`));
  }
  return [
    ...faults,
    ...(type === "terminal:output" ? outputFaults(record["data"]) : exitFaults(type, record)),
  ];
}

function outputFaults(data: unknown): Fault[] {
  if (typeof data !== "string" || !BASE64.test(data)) {
    return [fault("misread", "terminal:output.data is no padded base64")];
  }
  try {
    new TextDecoder("utf-8", { fatal: true }).decode(Uint8Array.fromBase64(data));
    return [];
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    return [fault("misread", "terminal:output.data: a character is cut, shown as U+FFFD")];
  }
}

/** Returns the text that the console shows of one message of a terminal. */
export function outputText(data: unknown): string {
  if (typeof data !== "string" || !BASE64.test(data)) return "";
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(Uint8Array.fromBase64(data));
}

/** Returns what is wrong with the result of a command. */
export function resultFaults({ sessionId, payload }: AgentEnvelope): Fault[] {
  const record = readRecord(payload);
  if (record === undefined) return [fault("crash", "command:result: the payload is no object")];
  const faults = textFaults("lost", "command:result", record, ["command_id", "stdout", "stderr"]);
  const exit = { exit_code: record["exit_code"] ?? record["exitCode"] };
  faults.push(...exitFaults("command:result", exit));
  const took = record["duration_ms"] ?? record["durationMs"];
  if (!Number.isSafeInteger(took)) faults.push(fault("lost", "command:result.duration_ms"));
  if (sessionId !== undefined && sessionId !== "" && sessionId !== record["command_id"]) {
    faults.push(fault("misread", "command:result: session_id hides command_id, which times out"));
  }
  if (holdsNul(record)) faults.push(fault("lost", "command:result: NUL, shown as 502"));
  return faults;
}

function exitFaults(type: string, record: Readonly<Record<string, unknown>>): Fault[] {
  if (Number.isSafeInteger(record["exit_code"])) return [];
  return [fault("misread", `${type}: without an exit_code, which counts as 0`)];
}
