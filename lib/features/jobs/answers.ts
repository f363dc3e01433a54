/**
 * The answers about jobs, as they are documented.
 *
 * @module
 */
import * as v from "valibot";
import { added, jobPageSchemaOf, jobSchemaOf } from "@lib/api/answers.ts";
import { limitsViewSchema } from "@lib/spine/spec/job_spec.ts";

/** Each release may add limits. */
const limitEntries = Object.fromEntries(
  Object.entries(limitsViewSchema.entries).map(([name, schema]) => [name, added(schema)]),
);

/** A job. */
export const jobSchema = jobSchemaOf(v.object(limitEntries));

/** A page of jobs. */
export const jobPageSchema = jobPageSchemaOf(jobSchema);
