/**
 * Joins the parts of the agent that jobs with a container need; nothing of it is loaded before the
 * first such job.
 *
 * @module
 */
import { ENGINE, PROGRAM } from "@lib/foundations/config/program_keys.ts";
import { CONTAINERS } from "@lib/features/containers/keys.ts";
import { ignore } from "@lib/core/errors.ts";
import { parseJobId, parseProjectName } from "@lib/core/ids.ts";
import type { EngineSource } from "@lib/foundations/docker/engine_source.ts";
import { existsSync } from "@lib/foundations/files/records.ts";
import { attemptDirectory } from "@lib/spine/jobs/attempt_directory.ts";
import type { AgentPart, AgentServices } from "@lib/api/feature.ts";

/** Prepares the parts; the engine is looked for by the first job that needs it. */
export function part({ project, config, env, log, clock }: AgentServices): AgentPart {
  let loaded: Promise<EngineSource> | undefined;
  const engines = () => {
    loaded ??= import("@lib/foundations/docker/engine_source.ts").then(({ EngineSource }) =>
      new EngineSource(() => ({ host: config().of(ENGINE).host, env }))
    );
    return loaded;
  };
  const { stateDir } = config().of(PROGRAM);
  const rules = () => config().ofProject(CONTAINERS, project);
  /** Removes the containers of earlier agents, if there is an engine and it was used here. */
  const removeOrphans = async (signal: AbortSignal) => {
    // Without a record of an image no job ever ran in a container here.
    if (!existsSync(`${stateDir}/images`)) return;
    try {
      const { removeLeftovers } = await import("@lib/features/containers/leftovers.ts");
      const engine = await (await engines()).engine();
      const removed = await removeLeftovers(engine, {
        stateDir,
        project,
        isWanted: ({ job, project: name, attempt }) => {
          const jobId = parseJobId(job);
          const owner = parseProjectName(name);
          if (jobId === undefined || owner === undefined) return false;
          const directory = attemptDirectory(stateDir, { project: owner, jobId, number: attempt });
          return existsSync(directory.attemptFile) && !existsSync(directory.outcomeFile);
        },
      }, signal);
      for (const { names } of removed) {
        log.info("Removed a container that an earlier agent left", { container: names[0] });
      }
    } catch (error) {
      // They cost space only; the next agent tries again.
      if (!signal.aborted) log.warning("Cannot look for containers left behind", { error });
    }
  };
  return {
    async containers() {
      const { ContainerExecutor } = await import("@lib/features/containers/container_executor.ts");
      return new ContainerExecutor({
        engines: await engines(),
        stateDir,
        rules,
        account: { uid: Deno.uid() ?? 0, gid: Deno.gid() ?? 0 },
        clock,
        log,
      });
    },
    steps: [{
      name: "image",
      needed: ({ container }) => container !== undefined,
      async before(context, signal) {
        const { imageStep } = await import("@lib/features/containers/image_step.ts");
        const step = imageStep({ engines: await engines(), stateDir, rules, clock });
        await step.before?.(context, signal);
      },
    }],
    tasks: { orphans: removeOrphans },
    [Symbol.dispose]() {
      void loaded?.then((source) => source[Symbol.dispose]())
        .catch(ignore("whoever needed the engine was told"));
    },
  };
}
