/**
 * Answers of the routes of artifacts.
 *
 * @module
 */
import * as v from "valibot";

/** A kept file. */
export const artifactSchema = v.object({
  path: v.pipe(v.string(), v.description("Below the job's workspace")),
  bytes: v.number(),
  sha256: v.string(),
  executable: v.boolean(),
  url: v.pipe(v.string(), v.description("Path of the download")),
});

/** The artifacts of an attempt. */
export const artifactListSchema = v.object({
  job: v.string(),
  attempt: v.number(),
  complete: v.pipe(
    v.boolean(),
    v.description("False while the attempt runs, or if the job keeps no artifacts"),
  ),
  files: v.array(artifactSchema),
  left_out: v.pipe(
    v.array(v.object({ path: v.string(), why: v.string() })),
    v.description("The first 200 files that matched a glob but were not kept"),
  ),
  left_out_count: v.number(),
  unmatched: v.pipe(v.array(v.string()), v.description("Globs that matched nothing")),
  uploaded: v.nullable(v.object({
    to: v.string(),
    files: v.number(),
    bytes: v.number(),
    missing: v.number(),
    problem: v.nullable(v.string()),
  })),
});
