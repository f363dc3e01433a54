/**
 * A container engine, Docker or Podman, as far as we use one.
 *
 * @module
 */
import type { Agent } from "node:http";
// @ts-types="./dockerode.d.ts"
import type Docker from "dockerode";
import * as v from "valibot";
import { raceAbort } from "@lib/core/abort.ts";
import {
  callEngine,
  callUnless,
  findAtEngine,
  guardCall,
  readStream,
} from "@lib/foundations/docker/engine_call.ts";
import { loadClient } from "@lib/foundations/docker/engine_client.ts";
import { EngineError, oneLine, toEngineError } from "@lib/foundations/docker/engine_error.ts";
import {
  type ContainerBody,
  type ContainerInfo,
  containerInfo,
  type ContainerSummary,
  containerSummary,
  type DiskUsage,
  diskUsage,
  type EngineFacts,
  engineFacts,
  type ImageInfo,
  imageInfo,
  type ImageSummary,
  imageSummary,
  type NetworkInfo,
  networkInfo,
  type PullEvent,
  type RegistryLogin,
} from "@lib/foundations/docker/engine_types.ts";
import type { EngineAddress } from "@lib/foundations/docker/find_engine.ts";
import {
  type ReadLogOptions,
  readLogStream,
  waitForEnd,
} from "@lib/foundations/docker/log_stream.ts";
import { pingEngine } from "@lib/foundations/docker/ping.ts";
import { readPullEvents } from "@lib/foundations/docker/pull_events.ts";

/** Options for {@linkcode Engine.pullImage}. */
export interface PullOptions {
  readonly login?: RegistryLogin;
  readonly onEvent: (event: PullEvent) => void;
}

/**
 * A connection to an engine.
 *
 * Calls reject with `signal.reason` when `signal` aborts, with an {@linkcode EngineError}
 * `engine_unavailable` if the engine did not answer, so that nothing is known of what was asked,
 * and with one of `executor_failed`, and the answer's status, if it refused. Containers are named
 * by name or id.
 */
export class Engine implements Disposable {
  readonly address: EngineAddress;
  readonly #docker: Docker;
  readonly #agent: Agent;
  #facts: EngineFacts | undefined;

  private constructor(address: EngineAddress, docker: Docker, agent: Agent) {
    this.address = address;
    this.#docker = docker;
    this.#agent = agent;
  }

  /** Loads the client; nothing is asked of the engine yet. */
  static async open(address: EngineAddress): Promise<Engine> {
    const { client, agent } = await loadClient(address);
    return new Engine(address, client, agent);
  }

  /** What the engine is; asked once. */
  async facts(signal: AbortSignal): Promise<EngineFacts> {
    this.#facts ??= await callEngine("ask the engine what it is", signal, async (abortSignal) => {
      const [info, { podman }] = await Promise.all([
        raceAbort(this.#docker.info(), abortSignal),
        pingEngine(this.address, { signal: abortSignal }),
      ]);
      return { ...v.parse(engineFacts, info), podman };
    });
    return this.#facts;
  }

  /** Makes a container; status 409 if there is one of that name, 404 if there is no such image. */
  async createContainer(name: string, body: ContainerBody, signal: AbortSignal): Promise<string> {
    return await callEngine(`create container "${name}"`, signal, async (abortSignal) => {
      // Without these two the client would put the whole body, secrets included, into the URL.
      const options = { _query: { name }, _body: body, abortSignal };
      return (await this.#docker.createContainer(options)).id;
    });
  }

  /** Starts a container; one that runs is left alone. */
  async startContainer(container: string, signal: AbortSignal): Promise<void> {
    await callUnless(
      [304],
      `start container "${container}"`,
      signal,
      (abortSignal) => this.#docker.getContainer(container).start({ abortSignal }),
    );
  }

  /** @returns `undefined` if there is no such container. */
  async inspectContainer(
    container: string,
    signal: AbortSignal,
  ): Promise<ContainerInfo | undefined> {
    return await findAtEngine(
      `inspect container "${container}"`,
      signal,
      async (abortSignal) =>
        v.parse(containerInfo, await this.#docker.getContainer(container).inspect({ abortSignal })),
    );
  }

  /**
   * Whether the engine heard, between two times of its own, that the kernel killed a process of a
   * container for want of memory; as soon as it did, else when the later time has come.
   *
   * Docker hears of the kill and of the end from two sides, and what it says of a container is
   * wrong for ever where the end came first.
   *
   * @param between In milliseconds since the epoch.
   */
  async heardOutOfMemory(
    container: string,
    between: { readonly sinceMs: number; readonly untilMs: number },
    signal: AbortSignal,
  ): Promise<boolean> {
    const what = `ask for events of container "${container}"`;
    return await callEngine(what, signal, async (abortSignal) => {
      const stream = await this.#docker.getEvents({
        since: inSeconds(between.sinceMs),
        until: inSeconds(between.untilMs),
        filters: { container: [container], event: ["oom"] },
        abortSignal,
      });
      for await (const bytes of readStream(what, stream, abortSignal)) {
        if (bytes.length > 0) return true;
      }
      return false;
    });
  }

  /** Waits without a deadline until a container that was started runs no more. */
  async waitContainer(container: string, signal: AbortSignal): Promise<void> {
    await guardCall(
      `wait for container "${container}"`,
      signal,
      () => waitForEnd(this.address, { container, signal }),
    );
  }

  /**
   * Reads what a container wrote, from the beginning, in frames; with `follow` until it has ended.
   *
   * Only as fast as the caller reads; the engine keeps the rest. A chunk is valid until the next.
   */
  async *readLogs(options: ReadLogOptions): AsyncGenerator<Uint8Array> {
    try {
      yield* readLogStream(this.address, options);
    } catch (error) {
      options.signal.throwIfAborted();
      throw toEngineError(error, `read the output of container "${options.container}"`);
    }
  }

  /** Sends a signal to the first process of a container; one that does not run is left alone. */
  async killContainer(
    container: string,
    name: "SIGTERM" | "SIGKILL",
    signal: AbortSignal,
  ): Promise<void> {
    await callUnless(
      [404, 409],
      `signal container "${container}"`,
      signal,
      (abortSignal) => this.#docker.getContainer(container).kill({ signal: name, abortSignal }),
    );
  }

  /** Removes a container and its own volumes, alive or not; there need not be one. */
  async removeContainer(container: string, signal: AbortSignal): Promise<void> {
    await callUnless(
      [404],
      `remove container "${container}"`,
      signal,
      (abortSignal) =>
        this.#docker.getContainer(container).remove({ force: true, v: true, abortSignal }),
    );
  }

  /** Gives a container another name. */
  async renameContainer(container: string, name: string, signal: AbortSignal): Promise<void> {
    await callEngine(
      `rename container "${container}"`,
      signal,
      (abortSignal) => this.#docker.getContainer(container).rename({ name, abortSignal }),
    );
  }

  /** The containers that have all of the labels, alive or not. */
  async listContainers(
    labels: readonly string[],
    signal: AbortSignal,
  ): Promise<readonly ContainerSummary[]> {
    return await callEngine("list containers", signal, async (abortSignal) =>
      v.parse(
        v.array(containerSummary),
        await this.#docker.listContainers({
          all: true,
          filters: { label: [...labels] },
          abortSignal,
        }),
      ));
  }

  /** @returns `undefined` if the engine does not have the image. */
  async inspectImage(image: string, signal: AbortSignal): Promise<ImageInfo | undefined> {
    return await findAtEngine(
      `inspect image "${image}"`,
      signal,
      async (abortSignal) =>
        v.parse(imageInfo, await raceAbort(this.#docker.getImage(image).inspect(), abortSignal)),
    );
  }

  /** All images that have a name or a label, intermediate ones apart. */
  async listImages(signal: AbortSignal): Promise<readonly ImageSummary[]> {
    return await callEngine(
      "list images",
      signal,
      async (abortSignal) =>
        v.parse(v.array(imageSummary), await this.#docker.listImages({ abortSignal })),
    );
  }

  /** Removes an image by name or id; status 409 while it is used, or has several names. */
  async removeImage(image: string, signal: AbortSignal): Promise<void> {
    await callUnless(
      [404],
      `remove image "${image}"`,
      signal,
      (abortSignal) => this.#docker.getImage(image).remove({ abortSignal }),
    );
  }

  /**
   * Fetches an image, without a deadline.
   *
   * @throws {EngineError} `executor_failed` with what the registry said.
   */
  async pullImage(
    image: string,
    { login, onEvent }: PullOptions,
    signal: AbortSignal,
  ): Promise<void> {
    const what = `pull image "${image}"`;
    const authconfig = login === undefined
      ? undefined
      : { username: login.username, password: login.password, serveraddress: login.registry };
    const stream = await guardCall(what, signal, () =>
      this.#docker.pull(image, {
        abortSignal: signal,
        ...(authconfig === undefined ? {} : { authconfig }),
      }));
    for await (const event of readPullEvents(readStream(what, stream, signal))) {
      if (event.error !== undefined) {
        throw new EngineError("executor_failed", `Cannot ${what}: ${oneLine(event.error)}`);
      }
      onEvent(event);
    }
  }

  /** The networks that have all of the labels. */
  async listNetworks(
    labels: readonly string[],
    signal: AbortSignal,
  ): Promise<readonly NetworkInfo[]> {
    return await callEngine("list networks", signal, async (abortSignal) =>
      v.parse(
        v.array(networkInfo),
        await this.#docker.listNetworks({ filters: { label: [...labels] }, abortSignal }),
      ));
  }

  /** Removes a network; status 403 or 409 while it is used. */
  async removeNetwork(network: string, signal: AbortSignal): Promise<void> {
    await callUnless(
      [404],
      `remove network "${network}"`,
      signal,
      (abortSignal) => this.#docker.getNetwork(network).remove({ abortSignal }),
    );
  }

  /** What images and containers take of the disk; an engine may need seconds for it. */
  async diskUsage(signal: AbortSignal): Promise<DiskUsage> {
    return await callEngine(
      "measure the engine's disk use",
      signal,
      async (abortSignal) => v.parse(diskUsage, await raceAbort(this.#docker.df(), abortSignal)),
    );
  }

  /** Closes the connections that nothing uses, and those that are used. */
  [Symbol.dispose](): void {
    this.#agent.destroy();
  }
}

function inSeconds(ms: number): string {
  return (ms / 1_000).toFixed(3);
}
