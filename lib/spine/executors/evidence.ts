/**
 * Reads the evidence for {@linkcode settle} from an attempt's directory.
 *
 * @module
 */
import { uptime } from "node:os";
import { readIfThere, statIfThereSync } from "@lib/foundations/files/records.ts";
import { openRegular } from "@lib/foundations/files/regular_file.ts";
import { repairDirectory } from "@lib/spine/jobs/attempt_damage.ts";
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
  const { result, startedAt, damage } = evidence;
  return result === undefined && startedAt === undefined && damage === undefined
    ? settleNeverBegun(evidence)
    : settle(evidence);
}

/** Tells if the attempt was begun, by its log or its record. */
export function wasBegun({ spec, directory }: Omit<AttemptHandle, "ref">): boolean {
  return [...logFilesOf(directory, spec.output), directory.resultFile].some((path) =>
    statIfThereSync(path) !== undefined
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
    using file = openRegular(fenceFile, { write: true, create: true, mode: 0o600 });
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
  const damage = repairDirectory(directory);
  const [record, stop] = await Promise.all([
    readBounded(directory.resultFile, RESULT_MAX_BYTES),
    readBounded(directory.stopFile, STOP_MAX_BYTES),
  ]);
  const logs = logFilesOf(directory, spec.output)
    .map(statIfThereSync)
    .filter((info) => info !== undefined);
  const begunAt = logs.length === 0 ? undefined : Math.min(
    ...logs.map((info) =>
      // Not every file system has birth times; `attempt.json` is written just before.
      info.birthtime?.getTime() ?? statIfThereSync(directory.attemptFile)?.mtime?.getTime() ?? now
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
    ...(damage === undefined ? {} : { damage }),
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
  & (
    | { readonly kind: "text"; readonly text: string }
    | { readonly kind: "unusable"; readonly problem: string }
  )
  & { readonly mtime: number };

function parsedResult(read: BoundedText): ParsedResult {
  return read.kind === "text" ? parseResultRecord(read.text) : read;
}

/** Reads a small file that a job could have replaced by anything. */
async function readBounded(path: string, maxBytes: number): Promise<BoundedText | undefined> {
  const info = statIfThereSync(path);
  if (info === undefined) return undefined;
  const mtime = info.mtime?.getTime() ?? 0;
  const unusable = (problem: string) => ({ kind: "unusable", problem, mtime }) as const;
  if (!info.isFile) return unusable("is not a file");
  if (info.size > maxBytes) return unusable(`is longer than ${maxBytes} bytes`);
  try {
    return { kind: "text", text: await readIfThere(path, maxBytes) ?? "", mtime };
  } catch {
    return unusable("cannot be read");
  }
}
