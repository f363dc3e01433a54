/**
 * The answers about holds.
 *
 * @module
 */
import * as v from "valibot";
import { jobId, time } from "@lib/api/answers.ts";

/** A hold that was ended. */
export const releasedSchema = v.object({
  id: jobId,
  held_until: v.pipe(time, v.description("Until when it would have been held")),
});
