/**
 * A real engine behind the port of cleaning.
 *
 * @module
 */
import { parseJobId, parseProjectName } from "@lib/core/ids.ts";
import type { Engine } from "@lib/foundations/docker/engine.ts";
import { hasStatus } from "@lib/foundations/docker/engine_error.ts";
import { jobLabelFilter, readJobLabels } from "@lib/foundations/docker/job_labels.ts";
import type { AttemptRef } from "@lib/spine/jobs/attempt_folder.ts";
import type { CleaningEngine } from "@lib/features/cleaning/engine_port.ts";

/** Makes the port; disposing it closes the engine's connection. */
export function cleaningEngine(engine: Engine, stateDir: string): CleaningEngine {
  const ours = jobLabelFilter(stateDir);
  return {
    async containers(signal) {
      return (await engine.listContainers(ours, signal)).map(
        ({ id, names, labels, createdAt }) => {
          const attempt = attemptOf(labels);
          const name = names[0] ?? id;
          return { id, name, createdAt, ...(attempt === undefined ? {} : { attempt }) };
        },
      );
    },
    async networks(signal) {
      return (await engine.listNetworks(ours, signal))
        .map(({ id, name, createdAt = 0 }) => ({ id, name, createdAt }));
    },
    async images(signal) {
      return (await engine.listImages(signal)).map(({ id, tags, digests, bytes }) => ({
        id: fullId(id),
        // Docker says so of an image that has lost its name.
        references: [...tags, ...digests].filter((name) => !name.startsWith("<none>")),
        bytes,
      }));
    },
    async imagesInUse(signal) {
      const all = await engine.listContainers([], signal);
      return new Set(all.map(({ imageId }) => fullId(imageId)));
    },
    removeContainer: (id, signal) => engine.removeContainer(id, signal),
    removeNetwork: (id, signal) => engine.removeNetwork(id, signal),
    async removeImage(name, signal) {
      try {
        await engine.removeImage(name, signal);
        return true;
      } catch (error) {
        if (hasStatus(error, 409)) return false;
        throw error;
      }
    },
    async sharesDiskWith(folder, signal) {
      if (engine.address.kind !== "unix") return false;
      const { storageFolder } = await engine.facts(signal);
      const device = deviceOf(storageFolder);
      return device !== undefined && device === deviceOf(folder);
    },
    [Symbol.dispose]: () => engine[Symbol.dispose](),
  };
}

function attemptOf(labels: Readonly<Record<string, string>>): AttemptRef | undefined {
  const said = readJobLabels(labels);
  const jobId = parseJobId(said?.job ?? "");
  const project = parseProjectName(said?.project ?? "");
  return said === undefined || jobId === undefined || project === undefined
    ? undefined
    : { jobId, project, number: said.attempt };
}

/** Podman leaves out the algorithm. */
function fullId(id: string): string {
  return /^[0-9a-f]+$/.test(id) ? `sha256:${id}` : id;
}

function deviceOf(path: string): number | undefined {
  if (path === "") return undefined;
  try {
    return Deno.statSync(path).dev;
  } catch (error) {
    // It may lie where this account cannot look, or on the engine's own machine.
    if (error instanceof Deno.errors.NotFound) return undefined;
    if (error instanceof Deno.errors.PermissionDenied) return undefined;
    throw error;
  }
}
