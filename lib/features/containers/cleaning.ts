/**
 * Cleaning of containers, networks and images that jobs left at the engine.
 *
 * @module
 */
import {
  type CleanKind,
  type CleanSource,
  type KeepLimits,
  REMOVED,
  type StoredThing,
} from "@lib/api/clean_source.ts";
import type { RunnerServices } from "@lib/api/feature.ts";
import { messageOf } from "@lib/core/errors.ts";
import { parseJobId } from "@lib/core/ids.ts";
import { IMAGES } from "@lib/features/containers/keys.ts";
import { ENGINE, PROGRAM } from "@lib/foundations/config/program_keys.ts";
import type { Engine } from "@lib/foundations/docker/engine.ts";
import { hasStatus } from "@lib/foundations/docker/engine_error.ts";
import type { ImageSummary } from "@lib/foundations/docker/engine_types.ts";
import { parseImageReference } from "@lib/foundations/docker/image_reference.ts";
import {
  forgetImageUse,
  type ImageUse,
  readImageUses,
} from "@lib/features/containers/image_use.ts";
import {
  jobLabelFilter,
  type JobLabels,
  readJobLabels,
} from "@lib/features/containers/job_labels.ts";
import { exists } from "@lib/foundations/files/records.ts";
import { isTerminal, type Job } from "@lib/spine/jobs/model.ts";

/** Time that an agent has to clean up by itself. */
const SETTLED_FOR_MS = 600_000;

/** Between the pull of an image and the start of its container, only its record shows the use. */
const JUST_USED_MS = 3_600_000;

/** The methods of an engine that cleaning calls. */
export type CleaningEngine =
  & Disposable
  & Pick<
    Engine,
    | "address"
    | "facts"
    | "listContainers"
    | "listNetworks"
    | "listImages"
    | "removeContainer"
    | "removeNetwork"
    | "removeImage"
  >;

/** Makes the cleaning source. */
export function sources({ config, env, store, clock }: RunnerServices): readonly CleanSource[] {
  return [containerSource({
    stateDir: config().of(PROGRAM).stateDir,
    openEngine: () => openEngine({ config, env }),
    read: (id) => store.get(id),
    wantedImages: () =>
      new Set(store.inFlight().flatMap(({ spec: { container } }) => container?.image ?? [])),
    imageLimits: () => config().of(IMAGES),
    now: () => clock.now(),
  })];
}

/** Removes a directory with files that jobs made as other users in containers. */
export async function removeForeign(
  path: string,
  services: Pick<RunnerServices, "config" | "env">,
  signal: AbortSignal,
): Promise<void> {
  const { stateDir } = services.config().of(PROGRAM);
  if (!await exists(`${stateDir}/images`)) return;
  const { removeForeign } = await import("@lib/features/containers/remove_foreign.ts");
  using engine = await openEngine(services);
  await removeForeign(engine, path, { stateDir, signal });
}

async function openEngine(
  { config, env }: Pick<RunnerServices, "config" | "env">,
): Promise<Engine> {
  const [{ Engine }, { findEngine }] = await Promise.all([
    import("@lib/foundations/docker/engine.ts"),
    import("@lib/foundations/docker/find_engine.ts"),
  ]);
  return new Engine(findEngine({ host: config().of(ENGINE).host, env }));
}

/** Options for {@linkcode containerSource}. */
export interface ContainerSourceOptions extends OrphanOptions, ImageOptions {
  /** Opens the engine; called only if a job has used one. */
  readonly openEngine: () => Promise<CleaningEngine>;
  /** For all images together. */
  readonly imageLimits: () => KeepLimits;
}

/** Makes a source of orphans and images that uses one connection per cleaning. */
export function containerSource(options: ContainerSourceOptions): CleanSource {
  const { stateDir, imageLimits, openEngine } = options;
  let engine: CleaningEngine | undefined;
  let parts: readonly CleanSource[] = [];
  return {
    kinds: ["container", "network", "image"],
    keep: () => ({ image: imageLimits() }),
    async find(signal) {
      const things: StoredThing[] = [];
      // Without a record no job ever used an engine here.
      if (!await exists(`${stateDir}/images`)) return { things };
      try {
        engine ??= await openEngine();
        parts = [orphanSource(engine, options), imageSource(engine, options)];
        const sharesDisk = await isOnDiskOf(engine, stateDir, signal);
        for (const part of parts) {
          for (const thing of (await part.find(signal)).things) {
            things.push(sharesDisk ? thing : { ...thing, freedBytes: 0 });
          }
        }
        return { things };
      } catch (error) {
        if (signal.aborted) throw signal.reason;
        const why = messageOf(error);
        return { things, skipped: [`Skipped containers and images: ${why}`] };
      }
    },
    remove(thing, signal) {
      const part = parts.find(({ kinds }) => kinds.includes(thing.kind));
      if (part === undefined) throw new TypeError(`Cannot remove ${thing.kind}: nothing was found`);
      return part.remove(thing, signal);
    },
    close() {
      engine?.[Symbol.dispose]();
      engine = undefined;
    },
  };
}

/** Options for {@linkcode orphanSource}. */
export interface OrphanOptions {
  readonly stateDir: string;
  /** Reads a recorded job. */
  readonly read: (id: Job["id"]) => Job | undefined;
  readonly now: () => number;
}

/** Makes a source of containers whose attempt is over, running or not, and of networks. */
export function orphanSource(engine: CleaningEngine, options: OrphanOptions): CleanSource {
  const { read, now } = options;
  const ours = jobLabelFilter(options.stateDir);
  const isWanted = (labels: JobLabels | undefined): boolean => {
    const id = parseJobId(labels?.job ?? "");
    const job = id === undefined ? undefined : read(id);
    if (labels === undefined || job === undefined || labels.attempt < job.attempt) return false;
    if ((job.heldUntil ?? 0) > now()) return true;
    return !isTerminal(job.state) || now() - (job.finishedAt ?? now()) < SETTLED_FOR_MS;
  };
  const isOld = ({ createdAt = 0 }: { readonly createdAt?: number | undefined }) =>
    now() - createdAt >= SETTLED_FOR_MS;
  const orphan = (kind: CleanKind, key: string, name: string, lastUsedAt = 0): StoredThing => (
    { kind, key, name, bytes: 0, lastUsedAt, inUse: false }
  );
  const labelsOf = new Map<string, JobLabels | undefined>();
  return {
    kinds: ["container", "network"],
    async find(signal) {
      const things: StoredThing[] = [];
      for (const container of await engine.listContainers(ours, signal)) {
        const { id, names: [name = id], createdAt } = container;
        const labels = readJobLabels(container.labels);
        if (!isOld(container) || isWanted(labels)) continue;
        labelsOf.set(id, labels);
        const project = labels === undefined ? {} : { project: labels.project };
        things.push({ ...orphan("container", id, name, createdAt), ...project });
      }
      for (const network of (await engine.listNetworks(ours, signal)).filter(isOld)) {
        things.push(orphan("network", network.id, network.name, network.createdAt));
      }
      return { things };
    },
    async remove({ kind, key }, signal) {
      if (kind === "network") {
        await engine.removeNetwork(key, signal);
        return REMOVED;
      }
      if (isWanted(labelsOf.get(key))) return { kind: "kept", why: "its job is running" };
      await engine.removeContainer(key, signal);
      return REMOVED;
    },
  };
}

/** Options for {@linkcode imageSource}. */
export interface ImageOptions {
  readonly stateDir: string;
  /** Returns the images of unfinished jobs, as the jobs name them. */
  readonly wantedImages: () => ReadonlySet<string>;
  readonly now: () => number;
}

/**
 * Makes a source of images that jobs pulled. It skips images that someone else pulled or has given
 * another name since, and those that any container uses.
 */
export function imageSource(engine: CleaningEngine, options: ImageOptions): CleanSource {
  const { stateDir, wantedImages, now } = options;
  const isWanted = ({ reference, usedAt }: ImageUse) =>
    wantedImages().has(reference) || now() - usedAt < JUST_USED_MS;
  const pulledByJobs = async () => (await readImageUses(stateDir)).filter(({ pulled }) => pulled);
  const imagesById = async (signal: AbortSignal) =>
    new Map((await engine.listImages(signal)).map((image) => [fullId(image.id), image]));
  return {
    kinds: ["image"],
    async find(signal) {
      const images = await imagesById(signal);
      const containers = await engine.listContainers([], signal);
      const inUse = new Set(containers.map(({ imageId }) => fullId(imageId)));
      const things: StoredThing[] = [];
      for (const use of await pulledByJobs()) {
        const image = images.get(use.id);
        // The record of an image that was removed by hand goes with the others.
        if (image !== undefined && removableName(image, use) === undefined) continue;
        things.push({
          kind: "image",
          key: use.id,
          name: use.reference,
          project: use.project,
          bytes: image?.bytes ?? 0,
          lastUsedAt: use.usedAt,
          inUse: inUse.has(use.id) || isWanted(use),
        });
      }
      return { things };
    },
    async remove({ key }, signal) {
      const use = (await pulledByJobs()).find(({ id }) => id === key);
      if (use === undefined) return REMOVED;
      if (isWanted(use)) return { kind: "kept", why: "a job has used it since" };
      const image = (await imagesById(signal)).get(key);
      if (image !== undefined) {
        const name = removableName(image, use);
        if (name === undefined) return { kind: "kept", why: "it has another name now" };
        try {
          await engine.removeImage(name, signal);
        } catch (error) {
          if (hasStatus(error, 409)) return { kind: "kept", why: "a container uses it" };
          throw error;
        }
      }
      forgetImageUse(stateDir, key);
      return REMOVED;
    },
  };
}

/**
 * Returns the name to remove an image by: its only name, or its id if it lost its name to a newer
 * image; `undefined` if it has a name that no job used.
 */
function removableName(
  { id, tags: all }: Pick<ImageSummary, "id" | "tags">,
  { reference }: ImageUse,
): string | undefined {
  // Docker lists `<none>` for an image that has lost its name.
  const tags = all.filter((tag) => !tag.startsWith("<none>"));
  if (tags.length === 0) return id;
  const [only = ""] = tags;
  return tags.length === 1 && isSameImage(only, reference) ? only : undefined;
}

/** Engines list images of the public registry by a short or a long name. */
function isSameImage(a: string, b: string): boolean {
  const [one, other] = [parseImageReference(a), parseImageReference(b)];
  return one !== undefined && other !== undefined && one.repository === other.repository &&
    one.tag === other.tag;
}

/** Podman omits the algorithm. */
function fullId(id: string): string {
  return /^[0-9a-f]+$/.test(id) ? `sha256:${id}` : id;
}

/** Tells if the engine keeps its images on the file system of a directory of this machine. */
async function isOnDiskOf(
  engine: CleaningEngine,
  directory: string,
  signal: AbortSignal,
): Promise<boolean> {
  if (engine.address.kind !== "unix") return false;
  const { storageDirectory } = await engine.facts(signal);
  const device = deviceOf(storageDirectory);
  return device !== undefined && device === deviceOf(directory);
}

function deviceOf(path: string): number | undefined {
  if (path === "") return undefined;
  try {
    return Deno.statSync(path).dev;
  } catch (error) {
    // It may be inaccessible to this account, or on another machine.
    if (error instanceof Deno.errors.NotFound) return undefined;
    if (error instanceof Deno.errors.PermissionDenied) return undefined;
    throw error;
  }
}
