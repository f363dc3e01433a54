/**
 * The console's reading of events, logs and LLM usage.
 *
 * @module
 */
import { type Fault, fault, holdsNul, type Json, readRecord, textFaults } from "./verdict.ts";

/** The types of events of the closed list. */
export const EVENT_TYPES = [
  "DEPLOY",
  "REDEPLOY",
  "CONNECT",
  "DISCONNECT",
  "BACKUP",
  "RESTORE",
  "DESTROY",
  "SUSPEND",
  "RESUME",
  "EXTENSION_INSTALL",
  "EXTENSION_REMOVE",
  "HEARTBEAT_LOST",
  "HEARTBEAT_RECOVERED",
  "ERROR",
] as const;

const LEVELS = ["debug", "info", "warn", "warning", "error", "err"];
const SOURCES = ["agent", "extension", "build", "app", "system"];

/** Returns what is wrong with the payload of an event. */
export function eventFaults(payload: unknown): Fault[] {
  const event = readRecord(payload);
  if (event === undefined) return [fault("crash", "event: the payload is no object")];
  const type = event["eventType"] ?? event["type"];
  if (type !== undefined && typeof type !== "string") {
    return [fault("crash", "event.eventType is no text")];
  }
  const faults: Fault[] = [];
  if (!EVENT_TYPES.some((known) => known === type?.toUpperCase())) {
    faults.push(fault("misread", `event.eventType ${type} is stored as DEPLOY`));
  }
  if (holdsNul(event)) faults.push(fault("lost", "event: NUL"));
  return faults;
}

/** Returns what is wrong with the payload of one line of a log. */
export function logLineFaults(payload: unknown): Fault[] {
  const line = readRecord(payload);
  if (line === undefined) return [fault("crash", "log:line: the payload is no object")];
  return [...pathFaults("log:line", line), ...lineFaults("log:line", line)];
}

/** Returns what is wrong with the payload of lines of a log. */
export function logBatchFaults(payload: unknown): Fault[] {
  const batch = readRecord(payload);
  if (batch === undefined) return [fault("crash", "log:batch: the payload is no object")];
  const faults = pathFaults("log:batch", batch);
  const lines = batch["lines"];
  if (!Array.isArray(lines)) return [...faults, fault("lost", "log:batch.lines is no list")];
  for (const line of lines) {
    if (line === null) faults.push(fault("crash", "log:batch.lines has a null"));
    else {
      const record = readRecord(line);
      if (record === undefined) faults.push(fault("misread", "log:batch: a line without text"));
      else faults.push(...lineFaults("log:batch", record));
    }
  }
  return faults;
}

/** Logs have paths below a directory of logs, which is not named. */
function pathFaults(where: string, message: Json): Fault[] {
  const { path } = message;
  if (typeof path !== "string") return textFaults("lost", where, message, ["path"]);
  if (path.includes("\0")) return [fault("lost", `${where}.path: NUL`)];
  return path === "" || path.startsWith("/") || path.split("/").includes("..")
    ? [fault("misread", `${where}.path ${JSON.stringify(path)} is not below the logs`)]
    : [];
}

function lineFaults(where: string, line: Json): Fault[] {
  const faults: Fault[] = [];
  const { level, source } = line;
  const text = line["message"] ?? line["line"];
  if (typeof text !== "string" || text.trim() === "") {
    faults.push(fault("misread", `${where}: a line without text`));
  }
  if (!isLogTime(line["ts"] ?? line["timestamp"])) faults.push(fault("lost", `${where}: no time`));
  if (level !== undefined && !LEVELS.includes(String(level).toLowerCase())) {
    faults.push(fault("misread", `${where}: level ${level} is stored as INFO`));
  }
  if (source !== undefined && !SOURCES.includes(String(source).split(":", 1)[0] ?? "")) {
    faults.push(fault("misread", `${where}: source ${source} is stored as SYSTEM`));
  }
  if (holdsNul(line)) faults.push(fault("lost", `${where}: NUL`));
  return faults;
}

function isLogTime(value: unknown): boolean {
  if (typeof value === "number") return Number.isSafeInteger(value);
  return typeof value === "string" && !Number.isNaN(Date.parse(value));
}

/** Returns what is wrong with the payload of a batch of LLM usage; one bad record loses all. */
export function usageFaults(payload: unknown): Fault[] {
  const batch = readRecord(payload);
  if (batch === undefined) return [fault("crash", "llm_usage:batch: the payload is no object")];
  const records = batch["records"];
  if (!Array.isArray(records)) return [fault("lost", "llm_usage:batch.records is no list")];
  return records.flatMap((value) => {
    const record = readRecord(value);
    return record === undefined
      ? [fault("lost", "llm_usage:batch has a record that is no object")]
      : recordFaults(record);
  });
}

function recordFaults(record: Json): Fault[] {
  const where = "llm_usage:batch";
  const faults = textFaults("lost", where, record, ["provider", "model"]);
  for (const name of ["inputTokens", "outputTokens", "ts"]) {
    if (!Number.isSafeInteger(record[name])) faults.push(fault("lost", `${where}: ${name}`));
  }
  for (const name of ["cacheReadTokens", "cacheWriteTokens"]) {
    if (name in record && !Number.isSafeInteger(record[name])) {
      faults.push(fault("lost", `${where}: ${name}`));
    }
  }
  for (const name of ["operation", "captureTier", "traceId"]) {
    if (name in record) faults.push(...textFaults("lost", where, record, [name]));
  }
  if (typeof record["costUsd"] !== "number") faults.push(fault("lost", `${where}: costUsd`));
  return faults;
}
