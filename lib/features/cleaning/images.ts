/**
 * The images that jobs brought here.
 *
 * @module
 */
import { parseImageReference } from "@lib/foundations/docker/image_reference.ts";
import { forgetImageUse, type ImageUse, readImageUses } from "@lib/foundations/docker/image_use.ts";
import type { StoredThing } from "@lib/features/cleaning/plan_housekeeping.ts";
import type { CleaningEngine, EngineImage } from "@lib/features/cleaning/engine_port.ts";
import { type CleanSource, REMOVED } from "@lib/features/cleaning/source.ts";

/** Between making an image ready and making its container, nothing but its record shows the use. */
const JUST_USED_MS = 3_600_000;

/** Options for {@linkcode imageSource}. */
export interface ImageOptions {
  readonly stateDir: string;
  readonly engine: CleaningEngine;
  /** The images that jobs under way have asked for, as they named them. */
  readonly wantedImages: () => ReadonlySet<string>;
  readonly now: () => number;
}

/**
 * Finds images that a job's pull brought. An image that someone else brought, or has given another
 * name since, is left alone, and so is one that any container uses.
 */
export function imageSource(options: ImageOptions): CleanSource {
  const { stateDir, engine, wantedImages, now } = options;
  const isWanted = ({ reference, usedAt }: ImageUse) =>
    wantedImages().has(reference) || now() - usedAt < JUST_USED_MS;
  const usesOfOurs = () => readImageUses(stateDir).filter(({ pulled }) => pulled);
  return {
    kinds: ["image"],
    async find(signal) {
      const images = new Map((await engine.images(signal)).map((image) => [image.id, image]));
      const inUse = await engine.imagesInUse(signal);
      const things: StoredThing[] = [];
      for (const use of usesOfOurs()) {
        const image = images.get(use.id);
        // What was removed by hand leaves a record of no use; it goes with the first occasion.
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
      return { things, skipped: [] };
    },
    async remove({ key }, signal) {
      const use = usesOfOurs().find(({ id }) => id === key);
      if (use === undefined) return REMOVED;
      if (isWanted(use)) return { kind: "kept", why: "a job has used it meanwhile" };
      const image = (await engine.images(signal)).find(({ id }) => id === key);
      if (image !== undefined) {
        const name = removableName(image, use);
        if (name === undefined) return { kind: "kept", why: "it has another name by now" };
        if (!await engine.removeImage(name, signal)) {
          return { kind: "kept", why: "a container needs it" };
        }
      }
      forgetImageUse(stateDir, key);
      return REMOVED;
    },
  };
}

/**
 * What to remove so that the image goes and nothing else: its only name, or its id if it lost its
 * name to a newer image; `undefined` if it has a name that is not ours.
 */
function removableName(
  { id, references }: EngineImage,
  { reference }: ImageUse,
): string | undefined {
  const tags = references.filter((one) => !one.includes("@"));
  if (tags.length === 0) return id;
  const [only = ""] = tags;
  return tags.length === 1 && isSameImage(only, reference) ? only : undefined;
}

/** Engines list the images of the public registry by a short name or a long one. */
function isSameImage(a: string, b: string): boolean {
  const [one, other] = [parseImageReference(a), parseImageReference(b)];
  return one !== undefined && other !== undefined && one.repository === other.repository &&
    one.tag === other.tag;
}
