/**
 * Reads the evidence for {@linkcode settle} from an attempt's directory.
 *
 * @module
 */
import { uptime } from "node:os";
import { readIfThere } from "@lib/foundations/files/records.ts";
import type { AttemptFound, AttemptHandle } from "@lib/spine/jobs/executor.ts";
import type { AttemptOutcome } from "@lib/spine/jobs/model.ts";
import {
  type ParsedResult,
  parseResultRecord,
  RESULT_MAX_BYTES,
} from "@lib/spine/executors/result_record.ts";
import { type Evidence, settle, settleNeverBegun } from "@lib/spine/executors/settle.ts";
import { logFilesOf, parseStop, STOP_MAX_BYTES } from "@lib/spine/executors/directory_files.ts";

/** Context of an attempt's evidence. */
interface EvidenceOptions {
  /** The program that ran the attempt, such as `the service manager`. */
  readonly monitor: string;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

/** Checks the directory of an attempt without live processes. */
export async function checkDirectory(
  handle: AttemptHandle,
  options: EvidenceOptions,
): Promise<Exclude<AttemptFound, { readonly kind: "alive" }>> {
  const evidence = await readEvidence(handle, options);
  if (evidence.result !== undefined) return { kind: "ended", outcome: settle(evidence) };
  return evidence.startedAt === undefined
    ? { kind: "never_begun" }
    : { kind: "vanished", outcome: settle(evidence) };
}

/** Settles an attempt without live processes that can no longer begin. */
export async function settleDirectory(
  handle: AttemptHandle,
  options: EvidenceOptions,
): Promise<AttemptOutcome> {
  const evidence = await readEvidence(handle, options);
  return evidence.result === undefined && evidence.startedAt === undefined
    ? settleNeverBegun(evidence)
    : settle(evidence);
}

/** Tells if the attempt was begun, by its log or its record. */
export function wasBegun({ spec, directory }: Omit<AttemptHandle, "ref">): boolean {
  return [...logFilesOf(directory, spec.output), directory.resultFile].some((path) =>
    statIfThere(path) !== undefined
  );
}

/**
 * Gives up an attempt that was not begun: no agent starts it from now on.
 *
 * An agent that is starting it this moment finds the fence afterwards, and stops it.
 *
 * @returns `false` if it was begun.
 */
export function fenceAttempt(handle: Omit<AttemptHandle, "ref">): boolean {
  const { path, fenceFile } = handle.directory;
  if (wasBegun(handle)) return false;
  Deno.mkdirSync(path, { recursive: true, mode: 0o700 });
  {
    using file = Deno.openSync(fenceFile, { write: true, create: true, mode: 0o600 });
    file.syncSync();
    using directory = Deno.openSync(path);
    directory.syncSync();
  }
  if (!wasBegun(handle)) return true;
  Deno.removeSync(fenceFile);
  return false;
}

async function readEvidence(
  { spec, directory }: AttemptHandle,
  { monitor, now }: EvidenceOptions,
): Promise<Evidence> {
  const [record, stop] = await Promise.all([
    readBounded(directory.resultFile, RESULT_MAX_BYTES),
    readBounded(directory.stopFile, STOP_MAX_BYTES),
  ]);
  const logs = logFilesOf(directory, spec.output)
    .map(statIfThere)
    .filter((info) => info !== undefined);
  const begunAt = logs.length === 0 ? undefined : Math.min(
    ...logs.map((info) =>
      // Not every file system has birth times; `attempt.json` is written just before.
      info.birthtime?.getTime() ?? statIfThere(directory.attemptFile)?.mtime?.getTime() ?? now
    ),
  );
  const result = record === undefined ? undefined : parsedResult(record);
  const startedAt = result?.kind === "record" && result.record.startedAt !== undefined
    ? result.record.startedAt
    : begunAt;
  const finishedAt = record?.mtime ?? now;
  return {
    spec,
    monitor,
    finishedAt,
    logBytes: logs.reduce((sum, info) => sum + info.size, 0),
    bootedAt: now - uptime() * 1_000,
    ...(result === undefined ? {} : { result }),
    // Both times are from the file system's clock, which lags behind the program's.
    ...(stop === undefined
      ? {}
      : { stop: { why: parseStop(stop.kind === "text" ? stop.text : ""), at: stop.mtime } }),
    // The engine's clock runs ahead of the file system's: nothing ends before it starts.
    ...(startedAt === undefined ? {} : { startedAt: Math.min(startedAt, finishedAt) }),
  };
}

type BoundedText =
  & ({ readonly kind: "text"; readonly text: string } | { readonly kind: "too_long" })
  & { readonly mtime: number };

function parsedResult(read: BoundedText): ParsedResult {
  return read.kind === "text"
    ? parseResultRecord(read.text)
    : { kind: "unusable", problem: `is longer than ${RESULT_MAX_BYTES} bytes` };
}

/** Reads a small file that a job could have replaced by a large one. */
async function readBounded(path: string, maxBytes: number): Promise<BoundedText | undefined> {
  const info = statIfThere(path);
  if (info === undefined) return undefined;
  const mtime = info.mtime?.getTime() ?? 0;
  if (!info.isFile || info.size > maxBytes) return { kind: "too_long", mtime };
  return { kind: "text", text: await readIfThere(path) ?? "", mtime };
}

function statIfThere(path: string): Deno.FileInfo | undefined {
  try {
    return Deno.lstatSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}
