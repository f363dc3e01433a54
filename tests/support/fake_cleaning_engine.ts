/**
 * A container engine in memory, as far as cleaning needs one.
 *
 * @module
 */
import type { CleaningEngine } from "@lib/features/containers/cleaning.ts";
import { EngineError } from "@lib/foundations/docker/engine_error.ts";
import type {
  ContainerSummary,
  EngineFacts,
  ImageSummary,
  NetworkInfo,
} from "@lib/foundations/docker/engine_types.ts";

/** Holds what it is given, until it is removed. */
export class FakeCleaningEngine implements CleaningEngine {
  readonly address = { kind: "tcp", host: "engine.example", port: 2375 } as const;
  readonly held = {
    containers: new Map<string, ContainerSummary>(),
    networks: new Map<string, NetworkInfo>(),
    images: new Map<string, ImageSummary>(),
  };

  facts(): Promise<EngineFacts> {
    return Promise.reject(new TypeError("Its address says enough"));
  }

  listContainers(labels: readonly string[]): Promise<readonly ContainerSummary[]> {
    const all = [...this.held.containers.values()];
    return Promise.resolve(all.filter((one) => hasLabels(one.labels, labels)));
  }

  listNetworks(): Promise<readonly NetworkInfo[]> {
    return Promise.resolve([...this.held.networks.values()]);
  }

  listImages(): Promise<readonly ImageSummary[]> {
    return Promise.resolve([...this.held.images.values()]);
  }

  removeContainer(id: string): Promise<void> {
    this.held.containers.delete(id);
    return Promise.resolve();
  }

  removeNetwork(id: string): Promise<void> {
    this.held.networks.delete(id);
    return Promise.resolve();
  }

  removeImage(name: string): Promise<void> {
    const used = new Set([...this.held.containers.values()].map(({ imageId }) => imageId));
    for (const [id, image] of this.held.images) {
      if (id !== name && !image.tags.includes(name)) continue;
      if (used.has(id)) {
        return Promise.reject(new EngineError("executor_failed", "in use", { status: 409 }));
      }
      const tags = image.tags.filter((one) => one !== name);
      if (tags.length === 0 || id === name) this.held.images.delete(id);
      else this.held.images.set(id, { ...image, tags });
    }
    return Promise.resolve();
  }

  [Symbol.dispose](): void {}
}

/** A container as an engine lists it. */
export function makeContainerSummary(changes: Partial<ContainerSummary>): ContainerSummary {
  return {
    id: "c",
    names: ["c"],
    imageId: "",
    labels: {},
    createdAt: 0,
    ...changes,
  };
}

function hasLabels(own: Readonly<Record<string, string>>, wanted: readonly string[]): boolean {
  return wanted.every((each) => {
    const [name = "", value] = each.split("=");
    return own[name] === value;
  });
}
