/**
 * What is done around a job, each part loaded by the first job that asks for it.
 *
 * @module
 */
import { systemClock } from "@lib/core/clock.ts";
import type { ProjectName } from "@lib/core/ids.ts";
import type { JobSpec } from "@lib/spine/jobs/model.ts";
import type { AttemptStep } from "@lib/spine/jobs/step.ts";
import type { RunCommand } from "@lib/foundations/process/run_command.ts";
import type { ContainerParts } from "@lib/features/containers/container_parts.ts";
import type { AgentInput } from "./wire.ts";

/** The steps in their order before the job; after it they run the other way round. */
export function makeSteps(
  { project, config, env }: AgentInput,
  { imageStep }: ContainerParts,
): readonly AttemptStep[] {
  const { stateDir, runtimeDir } = config();
  const mark = helperMark(stateDir, project);
  const clock = systemClock;
  return [
    lazyStep({
      name: "checkout",
      needed: ({ git }) => git !== undefined,
      does: "before",
      async load() {
        const { createCheckoutStep } = await import("@lib/features/checkout/checkout_step.ts");
        return createCheckoutStep({
          stateDir,
          config: config().git,
          own: env,
          runCommand: await helperRunner(mark),
          clock,
          runtimeDir,
        });
      },
    }),
    lazyStep({
      name: "files",
      needed: ({ files = [] }) => files.length > 0,
      does: "before",
      load: async () => (await import("@lib/features/files/files_step.ts")).filesStep(),
    }),
    lazyStep({
      name: "caches",
      needed: ({ caches = [] }) => caches.length > 0,
      does: "both",
      async load() {
        const { cacheStep } = await import("@lib/features/caches/cache_step.ts");
        const run = await helperRunner(mark);
        return cacheStep({ stateDir, limits: () => config().caches, run, env, clock });
      },
    }),
    lazyStep({
      name: "artifacts",
      needed: ({ artifacts }) => artifacts !== undefined,
      does: "after",
      async load() {
        const { artifactStep } = await import("@lib/features/artifacts/artifact_step.ts");
        const { s3Upload } = await import("@lib/features/artifacts/s3_upload.ts");
        return artifactStep({
          limits: () => config().artifacts,
          upload() {
            const { s3 } = config().artifacts;
            return s3 && s3Upload(s3, { env: (name) => env[name], clock });
          },
        });
      },
    }),
    imageStep,
  ];
}

/** What the helper programs of a project's agent carry, so that a later agent finds them. */
export function helperMark(stateDir: string, project: ProjectName): string {
  return `${stateDir}/projects/${project}`;
}

async function helperRunner(mark: string): Promise<RunCommand> {
  const { runCommand } = await import("@lib/foundations/process/run_command.ts");
  const { marked } = await import("@lib/foundations/process/marked_helpers.ts");
  return marked(runCommand, mark);
}

/** A step that is not loaded yet. */
interface LazyStep {
  readonly name: string;
  readonly needed: (spec: JobSpec) => boolean;
  readonly does: "before" | "after" | "both";
  readonly load: () => Promise<AttemptStep>;
}

function lazyStep({ name, needed, does, load }: LazyStep): AttemptStep {
  const before: AttemptStep["before"] = async (context, signal) => {
    await (await load()).before?.(context, signal);
  };
  const after: AttemptStep["after"] = async (context, outcome, signal) =>
    await (await load()).after?.(context, outcome, signal) ?? [];
  return {
    name,
    needed,
    ...(does === "after" ? {} : { before }),
    ...(does === "before" ? {} : { after }),
  };
}
