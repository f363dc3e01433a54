/**
 * Answers of the routes of artifacts.
 *
 * @module
 */
import * as v from "valibot";
import { count, jobId } from "@lib/api/answers.ts";

/** A kept file. */
export const artifactSchema = v.object({
  path: v.pipe(v.string(), v.description("Below the job's workspace")),
  bytes: count,
  sha256: v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/)),
  executable: v.boolean(),
  url: v.pipe(v.string(), v.description("Path of the download")),
});

/** The artifacts of an attempt. */
export const artifactListSchema = v.object({
  job: jobId,
  attempt: v.pipe(count, v.description("0 before the first")),
  complete: v.pipe(
    v.boolean(),
    v.description("False while the attempt runs, or if the job keeps no artifacts"),
  ),
  files: v.array(artifactSchema),
  left_out: v.pipe(
    v.array(v.object({ path: v.string(), why: v.string() })),
    v.description("The first 200 files that matched a glob but were not kept"),
  ),
  left_out_count: count,
  unmatched: v.pipe(v.array(v.string()), v.description("Globs that matched nothing")),
  uploaded: v.nullable(v.object({
    to: v.string(),
    files: count,
    bytes: count,
    missing: v.pipe(count, v.description("Files that could not be uploaded")),
    problem: v.pipe(
      v.nullable(v.string()),
      v.description("Reason of the first failure; null: all files were uploaded"),
    ),
  })),
});
