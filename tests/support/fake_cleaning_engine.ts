/**
 * A container engine in memory, as far as cleaning needs one.
 *
 * @module
 */
import type {
  CleaningEngine,
  EngineContainer,
  EngineImage,
  EngineNetwork,
} from "@lib/features/cleaning/engine_port.ts";

/** Holds what it is given, until it is removed. */
export class FakeCleaningEngine implements CleaningEngine {
  readonly held = {
    containers: new Map<string, EngineContainer & { readonly image?: string }>(),
    networks: new Map<string, EngineNetwork>(),
    images: new Map<string, EngineImage>(),
  };

  containers(): Promise<readonly EngineContainer[]> {
    return Promise.resolve([...this.held.containers.values()]);
  }

  networks(): Promise<readonly EngineNetwork[]> {
    return Promise.resolve([...this.held.networks.values()]);
  }

  images(): Promise<readonly EngineImage[]> {
    return Promise.resolve([...this.held.images.values()]);
  }

  imagesInUse(): Promise<ReadonlySet<string>> {
    const used = [...this.held.containers.values()].map(({ image }) => image);
    return Promise.resolve(new Set(used.filter((image) => image !== undefined)));
  }

  removeContainer(id: string): Promise<void> {
    this.held.containers.delete(id);
    return Promise.resolve();
  }

  removeNetwork(id: string): Promise<void> {
    this.held.networks.delete(id);
    return Promise.resolve();
  }

  async removeImage(name: string): Promise<boolean> {
    const used = await this.imagesInUse();
    for (const [id, image] of this.held.images) {
      if (id !== name && !image.references.includes(name)) continue;
      if (used.has(id)) return false;
      const references = image.references.filter((one) => one !== name);
      if (references.length === 0 || id === name) this.held.images.delete(id);
      else this.held.images.set(id, { ...image, references });
    }
    return true;
  }

  sharesDiskWith(): Promise<boolean> {
    return Promise.resolve(false);
  }

  [Symbol.dispose](): void {}
}
