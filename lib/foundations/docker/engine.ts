/**
 * A connection to a container engine, Docker or Podman.
 *
 * @module
 */
import { Buffer } from "node:buffer";
// @ts-types="./dockerode.d.ts"
import type Docker from "dockerode";
import * as v from "valibot";
import { ignore } from "@lib/core/errors.ts";
import {
  type Client,
  type ClientOptions,
  clientOptions,
  openClient,
} from "@lib/foundations/docker/client_library.ts";
import { type ArchivedFile, readArchivedFile } from "@lib/foundations/docker/archived_file.ts";
import {
  callEngine,
  callUnless,
  guardCall,
  readStream,
} from "@lib/foundations/docker/engine_call.ts";
import {
  EngineError,
  hasStatus,
  oneLine,
  toEngineError,
} from "@lib/foundations/docker/engine_error.ts";
import {
  type ContainerBody,
  type ContainerInfo,
  containerInfo,
  type ContainerSummary,
  containerSummary,
  createdId,
  type EngineFacts,
  engineFacts,
  type ImageInfo,
  imageInfo,
  type ImageSummary,
  imageSummary,
  type NetworkInfo,
  networkInfo,
  type PullEvent,
  readImportedId,
  readPullEvents,
  type RegistryLogin,
} from "@lib/foundations/docker/engine_types.ts";
import type { EngineAddress } from "@lib/foundations/docker/find_engine.ts";
import { pingEngine } from "@lib/foundations/docker/ping.ts";
import {
  type ReadLogOptions,
  readLogStream,
  waitForEnd,
} from "@lib/foundations/docker/raw_answer.ts";
import { callRaw, type RawRequest, readAnswer } from "@lib/foundations/docker/raw_exchange.ts";

/**
 * A connection to an engine.
 *
 * Calls reject with `signal.reason` when `signal` aborts, with an {@linkcode EngineError}
 * `engine_unavailable` if the engine did not answer, so that the effect of the call is unknown, and
 * with one of `executor_failed` and the answer's status if it refused. A container is given by name
 * or id.
 */
export class Engine implements Disposable {
  readonly address: EngineAddress;
  readonly #options: ClientOptions;
  #client: Promise<Client> | undefined;
  #facts: EngineFacts | undefined;

  /**
   * Calls nothing yet.
   *
   * @throws {EngineError} `engine_unavailable` if the files for its TLS cannot be read.
   */
  constructor(address: EngineAddress) {
    this.address = address;
    this.#options = clientOptions(address);
  }

  /** Returns the engine's properties; asks once. */
  async facts(signal: AbortSignal): Promise<EngineFacts> {
    const what = "ask the engine what it is";
    this.#facts ??= await callEngine(what, signal, async (abortSignal) => {
      const [info, { podman }] = await Promise.all([
        callRaw(this.address, { method: "GET", target: "/info", what, signal: abortSignal }),
        pingEngine(this.address, { signal: abortSignal }),
      ]);
      return { ...v.parse(engineFacts, info), podman };
    });
    return this.#facts;
  }

  /** Creates a container; status 409 if the name is taken, 404 if there is no such image. */
  async createContainer(name: string, body: ContainerBody, signal: AbortSignal): Promise<string> {
    const target = `/containers/create?${new URLSearchParams({ name })}`;
    const call = { method: "POST", target, body } as const;
    return await this.#call(`create container "${name}"`, { ...call, schema: createdId, signal });
  }

  /** Starts a container unless it runs. */
  async startContainer(container: string, signal: AbortSignal): Promise<void> {
    const call = { method: "POST", target: targetOf(container, "start") } as const;
    await this.#callUnless([304], `start container "${container}"`, {
      ...call,
      schema: ANYTHING,
      signal,
    });
  }

  /** @returns `undefined` if there is no such container. */
  async inspectContainer(
    container: string,
    signal: AbortSignal,
  ): Promise<ContainerInfo | undefined> {
    const call = { method: "GET", target: targetOf(container, "json") } as const;
    const what = `inspect container "${container}"`;
    return await this.#callUnless([404], what, { ...call, schema: containerInfo, signal });
  }

  /**
   * Tells if the engine saw the kernel kill a process of a container that ran out of memory, be it
   * before the engine held the container for started; returns once it did, else at `untilMs`.
   *
   * Docker learns of the kill and of the end separately. If the end comes first, the state that it
   * reports of the container stays wrong.
   *
   * @param untilMs On the engine's clock, in milliseconds since the epoch.
   */
  async heardOutOfMemory(
    container: string,
    untilMs: number,
    signal: AbortSignal,
  ): Promise<boolean> {
    const query = new URLSearchParams({
      since: "0",
      until: (untilMs / 1_000).toFixed(3),
      filters: JSON.stringify({ container: [container], event: ["oom"] }),
    });
    const target = `/events?${query}`;
    const what = `ask for events of container "${container}"`;
    return await callEngine(what, signal, async (abortSignal) => {
      const request = { method: "GET", target, what, signal: abortSignal } as const;
      for await (const bytes of readAnswer(this.address, request)) {
        if (bytes.length > 0) return true;
      }
      return false;
    });
  }

  /** Waits without a deadline until a started container has stopped. */
  async waitContainer(container: string, signal: AbortSignal): Promise<void> {
    await guardCall(`wait for container "${container}"`, signal, async () => {
      await waitForEnd(this.address, { container, signal });
    });
  }

  /**
   * Reads the output of a container, in frames; with `follow` until it stops.
   *
   * Applies back pressure; the engine keeps the rest. A chunk is valid until the next.
   */
  async *readLogs(options: ReadLogOptions): AsyncGenerator<Uint8Array> {
    try {
      yield* readLogStream(this.address, options);
    } catch (error) {
      options.signal.throwIfAborted();
      throw toEngineError(error, `read the output of container "${options.container}"`);
    }
  }

  /** Sends a signal to the first process of a container if it runs. */
  async killContainer(
    container: string,
    name: "SIGTERM" | "SIGKILL",
    signal: AbortSignal,
  ): Promise<void> {
    const target = targetOf(container, `kill?${new URLSearchParams({ signal: name })}`);
    const call = { method: "POST", target } as const;
    await this.#callUnless([404, 409], `signal container "${container}"`, {
      ...call,
      schema: ANYTHING,
      signal,
    });
  }

  /** Removes a container and its volumes, running or not, if there is one. */
  async removeContainer(container: string, signal: AbortSignal): Promise<void> {
    const target = `/containers/${encodeURIComponent(container)}?force=true&v=true`;
    const call = { method: "DELETE", target } as const;
    await this.#callUnless([404], `remove container "${container}"`, {
      ...call,
      schema: ANYTHING,
      signal,
    });
  }

  /**
   * Reads a small file of a container that need not run.
   *
   * @returns `undefined` if there is none.
   */
  async readContainerFile(
    container: string,
    path: string,
    signal: AbortSignal,
  ): Promise<ArchivedFile | undefined> {
    const what = `read "${path}" of container "${container}"`;
    return await callUnless([404], what, signal, async (abortSignal) => {
      const stream = await (await this.#docker()).getContainer(container).getArchive({
        path,
        abortSignal,
      });
      return await readArchivedFile(readStream(what, stream, abortSignal), SMALL_BYTES);
    });
  }

  /** Renames a container. */
  async renameContainer(container: string, name: string, signal: AbortSignal): Promise<void> {
    const target = targetOf(container, `rename?${new URLSearchParams({ name })}`);
    const call = { method: "POST", target } as const;
    await this.#call(`rename container "${container}"`, { ...call, schema: ANYTHING, signal });
  }

  /** Lists the containers with all of the labels, running or not. */
  async listContainers(
    labels: readonly string[],
    signal: AbortSignal,
  ): Promise<readonly ContainerSummary[]> {
    const filters = JSON.stringify({ label: labels });
    const target = `/containers/json?${new URLSearchParams({ all: "true", filters })}`;
    const call = { method: "GET", target } as const;
    return await this.#call("list containers", {
      ...call,
      schema: v.array(containerSummary),
      signal,
    });
  }

  /** @returns `undefined` if the engine does not have the image. */
  async inspectImage(image: string, signal: AbortSignal): Promise<ImageInfo | undefined> {
    // Its slashes separate parts of the path.
    const name = image.split("/").map(encodeURIComponent).join("/");
    const call = { method: "GET", target: `/images/${name}/json` } as const;
    return await this.#callUnless([404], `inspect image "${image}"`, {
      ...call,
      schema: imageInfo,
      signal,
    });
  }

  /** Lists all images that have a name or a label, without intermediate ones. */
  async listImages(signal: AbortSignal): Promise<readonly ImageSummary[]> {
    return await callEngine("list images", signal, async (abortSignal) => {
      return v.parse(
        v.array(imageSummary),
        await (await this.#docker()).listImages({ abortSignal }),
      );
    });
  }

  /** Makes an image without files and settings; returns its id, which no other one has. */
  async makeEmptyImage(signal: AbortSignal): Promise<string> {
    const what = "make an empty image";
    return await callEngine(what, signal, async (abortSignal) => {
      // An archive without members ends with two blocks of zeros.
      const archive = Buffer.alloc(1_024);
      const changes = `LABEL unique=${crypto.randomUUID()}`;
      const stream = await (await this.#docker()).importImage(archive, { changes, abortSignal });
      return await readImportedId(readStream(what, stream, abortSignal));
    });
  }

  /** Removes an image by name or id; status 409 while it is in use, or has several names. */
  async removeImage(image: string, signal: AbortSignal): Promise<void> {
    await callUnless([404], `remove image "${image}"`, signal, async (abortSignal) => {
      await (await this.#docker()).getImage(image).remove({ abortSignal });
    });
  }

  /**
   * Pulls an image, without a deadline.
   *
   * @throws {EngineError} `executor_failed` with the registry's message.
   */
  async pullImage(
    image: string,
    { login, onEvent }: {
      readonly login: RegistryLogin | undefined;
      readonly onEvent: (event: PullEvent) => void;
    },
    signal: AbortSignal,
  ): Promise<void> {
    const what = `pull image "${image}"`;
    const options = login === undefined ? {} : { authconfig: login };
    const stream = await guardCall(
      what,
      signal,
      async () => (await this.#docker()).pull(image, { abortSignal: signal, ...options }),
    );
    for await (const event of readPullEvents(readStream(what, stream, signal))) {
      if (event.error !== undefined) {
        throw new EngineError("executor_failed", `Cannot ${what}: ${oneLine(event.error)}`);
      }
      onEvent(event);
    }
  }

  /** Lists the networks with all of the labels. */
  async listNetworks(
    labels: readonly string[],
    signal: AbortSignal,
  ): Promise<readonly NetworkInfo[]> {
    const filters = { label: [...labels] };
    return await callEngine("list networks", signal, async (abortSignal) => {
      const answer = await (await this.#docker()).listNetworks({ filters, abortSignal });
      return v.parse(v.array(networkInfo), answer);
    });
  }

  /** Removes a network; status 403 or 409 while it is in use. */
  async removeNetwork(network: string, signal: AbortSignal): Promise<void> {
    await callUnless([404], `remove network "${network}"`, signal, async (abortSignal) => {
      await (await this.#docker()).getNetwork(network).remove({ abortSignal });
    });
  }

  /** Closes all kept connections, idle or not. */
  [Symbol.dispose](): void {
    void this.#client?.then(({ agent }) => agent.destroy(), ignore("its callers got the error"));
  }

  /** Calls the engine without the client library, as every job does. */
  async #call<T>(what: string, { signal, schema, ...request }: Call<T>): Promise<T> {
    return await callEngine(what, signal, async (abortSignal) => {
      const answer = await callRaw(this.address, { ...request, what, signal: abortSignal });
      return v.parse(schema, answer);
    });
  }

  /** The same; `undefined` if the engine refuses with one of these statuses. */
  async #callUnless<T>(
    statuses: readonly number[],
    what: string,
    call: Call<T>,
  ): Promise<T | undefined> {
    try {
      return await this.#call(what, call);
    } catch (error) {
      if (hasStatus(error, ...statuses)) return undefined;
      throw error;
    }
  }

  async #docker(): Promise<Docker> {
    return (await (this.#client ??= openClient(this.#options))).docker;
  }
}

/** A call of the engine and the schema of its answer. */
interface Call<T> extends Omit<RawRequest, "what"> {
  readonly schema: v.GenericSchema<unknown, T>;
}

/** The schema of an answer that is not needed. */
const ANYTHING = v.unknown();

function targetOf(container: string, what: string): string {
  return `/containers/${encodeURIComponent(container)}/${what}`;
}

const SMALL_BYTES = 4 * 1024 * 1024;
