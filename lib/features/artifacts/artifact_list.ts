/**
 * The list of an attempt's artifacts, as stored on disk.
 *
 * Fields are only ever added. The list is written after the files, so every file in it is complete.
 *
 * @module
 */
import * as v from "valibot";
import { CicdError, messageOf } from "@lib/core/errors.ts";
import { readIfThere, writeAtomic } from "@lib/foundations/files/records.ts";
import { insidePathProblem } from "@lib/foundations/files/inside.ts";

/** Entries of `left_out` that are stored; the rest is counted. */
export const LEFT_OUT_SHOWN = 200;

const wholeNumber = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const path = v.pipe(v.string(), v.check((text) => insidePathProblem(text) === undefined));

const uploadRecord = v.object({
  /** The destination: `s3://bucket/prefix/project/job/attempt/`. */
  to: v.string(),
  files: wholeNumber,
  bytes: wholeNumber,
  /** Files that were not uploaded. */
  missing: wholeNumber,
  /** The reason, in a sentence. */
  problem: v.exactOptional(v.string()),
  /** The retries it took, in words. */
  retried: v.exactOptional(v.string()),
});

const listRecord = v.object({
  version: v.literal(1),
  files: v.array(v.object({
    /** Relative to the workspace, and to the directory of the artifacts. */
    path,
    bytes: wholeNumber,
    /** In hex. */
    sha256: v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/)),
    /** Permission bits. */
    mode: wholeNumber,
  })),
  /** The first {@linkcode LEFT_OUT_SHOWN} that matched a glob but are not kept. */
  left_out: v.array(v.object({ path: v.string(), why: v.string() })),
  left_out_count: wholeNumber,
  /** Globs that matched nothing. */
  unmatched: v.array(v.string()),
  uploaded: v.exactOptional(uploadRecord),
});

/** The list of an attempt's artifacts. */
export type ArtifactList = v.InferOutput<typeof listRecord>;
/** A kept file. */
export type ArtifactFile = ArtifactList["files"][number];
/** The result of the upload. */
export type UploadResult = v.InferOutput<typeof uploadRecord>;

/**
 * Reads a list; `undefined` if there is none yet.
 *
 * @throws {CicdError} `io_failed` if the file is not a list.
 */
export async function readArtifactList(file: string): Promise<ArtifactList | undefined> {
  const text = await readIfThere(file);
  // A power cut can leave a file empty that was complete.
  if (text === undefined || text.trim() === "") return undefined;
  try {
    return v.parse(listRecord, JSON.parse(text));
  } catch (error) {
    throw new CicdError(
      "io_failed",
      `Cannot read the list of artifacts "${file}": ${messageOf(error)}`,
      { cause: error },
    );
  }
}

/** Returns a list with the secrets in the texts of its upload masked. */
export function maskedResult(list: ArtifactList, mask: (text: string) => string): ArtifactList {
  if (list.uploaded === undefined) return list;
  const { to, problem } = list.uploaded;
  const masked = problem === undefined ? {} : { problem: mask(problem) };
  return { ...list, uploaded: { ...list.uploaded, to: mask(to), ...masked } };
}

/** Writes a list in one step. */
export function writeArtifactList(file: string, list: ArtifactList): Promise<void> {
  return writeAtomic(file, JSON.stringify(list));
}
