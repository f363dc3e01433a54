/**
 * What cleaning needs of a container engine.
 *
 * @module
 */
import type { AttemptRef } from "@lib/spine/jobs/attempt_folder.ts";

/** A container that this runner's jobs left or use. */
export interface EngineContainer {
  readonly id: string;
  readonly name: string;
  /** As its labels say; absent if they are damaged. */
  readonly attempt?: AttemptRef;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
}

/** A network that this runner made. */
export interface EngineNetwork {
  readonly id: string;
  readonly name: string;
  readonly createdAt: number;
}

/** An image, whoever brought it. */
export interface EngineImage {
  readonly id: string;
  /** Tags and digests: `name:tag`, `name@sha256:…`. */
  readonly references: readonly string[];
  /** Bytes, those it shares with other images included. */
  readonly bytes: number;
}

/**
 * A container engine.
 *
 * Contract: each method asks once, within its own deadline, and rejects with a `CicdError` if the
 * engine refuses. Removing what is gone succeeds.
 */
export interface CleaningEngine extends Disposable {
  /** Of this runner's state folder only, by label. */
  containers(signal: AbortSignal): Promise<readonly EngineContainer[]>;
  /** By label. */
  networks(signal: AbortSignal): Promise<readonly EngineNetwork[]>;
  images(signal: AbortSignal): Promise<readonly EngineImage[]>;
  /** The images of all containers there are, running or not, by id. */
  imagesInUse(signal: AbortSignal): Promise<ReadonlySet<string>>;
  /** Kills it first if it runs. */
  removeContainer(id: string, signal: AbortSignal): Promise<void>;
  removeNetwork(id: string, signal: AbortSignal): Promise<void>;
  /**
   * Removes a reference, and with the last one the image; or an image that has none.
   *
   * @returns `false` if a container needs it.
   */
  removeImage(referenceOrId: string, signal: AbortSignal): Promise<boolean>;
  /** Whether its images lie on the same file system as a folder of this machine. */
  sharesDiskWith(folder: string, signal: AbortSignal): Promise<boolean>;
}
