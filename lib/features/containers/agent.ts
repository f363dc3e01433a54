/**
 * The agent's part of the feature; the first job with a container loads the rest.
 *
 * @module
 */
import { ignore } from "@lib/core/errors.ts";
import { parseJobId, parseProjectName } from "@lib/core/ids.ts";
import type { AgentPart, AgentServices } from "@lib/api/feature.ts";
import { CONTAINERS } from "@lib/features/containers/keys.ts";
import { ENGINE, PROGRAM } from "@lib/foundations/config/program_keys.ts";
import type { EngineSource } from "@lib/foundations/docker/engine_source.ts";
import type { ImageInfo } from "@lib/foundations/docker/engine_types.ts";
import { existsSync } from "@lib/foundations/files/records.ts";
import { attemptDirectory, holdFile } from "@lib/spine/jobs/attempt_directory.ts";
import { lazyStep } from "@lib/spine/jobs/step.ts";
import type { JobSpec } from "@lib/spine/spec/job_spec.ts";

/** Makes the part; the first job that needs the engine searches for it. */
export function part({ project, config, env, log, clock, helperRunner }: AgentServices): AgentPart {
  let loaded: Promise<EngineSource> | undefined;
  const engines = () =>
    loaded ??= import("@lib/foundations/docker/engine_source.ts").then(({ EngineSource }) =>
      new EngineSource(() => ({ host: config().of(ENGINE).host, env }))
    );
  const { stateDir } = config().of(PROGRAM);
  const rules = () => config().ofProject(CONTAINERS, project);
  const account = { uid: Deno.uid() ?? 0, gid: Deno.gid() ?? 0 };
  /** Of the jobs that are being set up. */
  const images = new WeakMap<JobSpec, ImageInfo>();
  return {
    async containers() {
      const { ContainerExecutor } = await import("@lib/features/containers/container_executor.ts");
      return new ContainerExecutor({
        engines: await engines(),
        stateDir,
        rules,
        account,
        clock,
        log,
      });
    },
    async containerOf(attempt, signal) {
      if (attempt.spec.container === undefined) return undefined;
      const { findContainer } = await import("@lib/features/containers/container_start.ts");
      const engine = await (await engines()).engine();
      const found = await findContainer(engine, attempt, { stateDir, signal });
      const { isRunning } = await import("@lib/features/containers/container_monitor.ts");
      if (found === undefined || !isRunning(found)) return undefined;
      return { address: engine.address, container: found.id };
    },
    steps: [
      {
        name: "image",
        doing: "getting the image",
        needed: ({ container }) => container !== undefined,
        async before(context, signal) {
          const { prepareImage } = await import("@lib/features/containers/image_step.ts");
          const options = { engines: await engines(), stateDir, rules, clock };
          const image = await prepareImage(context, options, signal);
          if (image !== undefined) images.set(context.spec, image);
        },
      },
      lazyStep({
        name: "owner",
        doing: "giving the files to the container's user, or taking them back",
        needed: ({ container }) =>
          container !== undefined && (account.uid === 0 || container.user !== undefined),
        does: "both",
        async load() {
          const { ownerStep } = await import("@lib/features/containers/workspace_owner.ts");
          return ownerStep({
            engines: await engines(),
            stateDir,
            imageOf: (spec) => images.get(spec),
            account,
            run: await helperRunner(),
          });
        },
      }),
    ],
    tasks: {
      async orphans(signal) {
        // Without a record of an image no job ever ran in a container here.
        if (!existsSync(`${stateDir}/images`)) return;
        try {
          const { removeOrphans } = await import("@lib/features/containers/job_labels.ts");
          const engine = await (await engines()).engine();
          const removed = await removeOrphans(engine, {
            stateDir,
            project,
            isWanted: ({ job, project: name, attempt: number }) => {
              const jobId = parseJobId(job);
              const owner = parseProjectName(name);
              if (jobId === undefined || owner === undefined) return false;
              const ref = { project: owner, jobId, number };
              const directory = attemptDirectory(stateDir, ref);
              const isOpen = existsSync(directory.attemptFile) &&
                !existsSync(directory.outcomeFile);
              return isOpen || existsSync(holdFile(stateDir, ref));
            },
          }, signal);
          for (const container of removed) log.info("Removed an orphaned container", { container });
        } catch (error) {
          // Orphans only cost space; the next agent tries again.
          if (!signal.aborted) log.warning("Cannot look for orphaned containers", { error });
        }
      },
    },
    [Symbol.dispose]() {
      void loaded?.then((source) => source[Symbol.dispose]())
        .catch(ignore("its callers got the error"));
    },
  };
}
