import { parse } from "yaml";
import { z } from "zod";

const jobs = z.array(z.object({
  project: z.string().regex(/^[a-z]+$/),
  script: z.string(),
  limits: z.object({ cpu: z.number().positive().optional() }).default({}),
}));

export type Jobs = z.infer<typeof jobs>;

/** Reads jobs from YAML. */
export function parseJobs(text: string): Jobs {
  return jobs.parse(parse(text));
}
