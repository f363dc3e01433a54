/**
 * The part of the agent: files of a job, written into its workspace.
 *
 * @module
 */
import { lazyStep } from "@lib/spine/jobs/step.ts";
import type { AgentPart } from "@lib/api/feature.ts";

/** Makes the part. */
export function part(): AgentPart {
  return {
    steps: [
      lazyStep({
        name: "files",
        needed: ({ files = [] }) => files.length > 0,
        does: "before",
        load: async () => (await import("@lib/features/files/files_step.ts")).filesStep(),
      }),
    ],
  };
}
