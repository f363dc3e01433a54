/**
 * A connection to a container engine, Docker or Podman.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { Agent as HttpAgent } from "node:http";
// @ts-types="./dockerode.d.ts"
import type Docker from "dockerode";
import * as v from "valibot";
import { raceAbort } from "@lib/core/abort.ts";
import { type ArchivedFile, readArchivedFile } from "@lib/foundations/docker/archived_file.ts";
import {
  callEngine,
  callUnless,
  guardCall,
  readStream,
} from "@lib/foundations/docker/engine_call.ts";
import { EngineError, oneLine, toEngineError } from "@lib/foundations/docker/engine_error.ts";
import {
  type ContainerBody,
  type ContainerInfo,
  containerInfo,
  type ContainerSummary,
  containerSummary,
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
  readonly #docker: Docker;
  readonly #agent: HttpAgent;
  #facts: EngineFacts | undefined;

  private constructor(address: EngineAddress, docker: Docker, agent: HttpAgent) {
    this.address = address;
    this.#docker = docker;
    this.#agent = agent;
  }

  /**
   * Loads the client library, which takes a tenth of a second and 25 MB; calls nothing yet.
   *
   * @throws {EngineError} `engine_unavailable` if the files for its TLS cannot be read.
   */
  static async open(address: EngineAddress): Promise<Engine> {
    // In a bundle, a dependency of the client has no `__dirname`.
    if (!("__dirname" in globalThis)) {
      Object.assign(globalThis, { __dirname: import.meta.dirname ?? "/" });
    }
    // @ts-types="./dockerode.d.ts"
    const { default: Client } = await import("dockerode");
    const options = clientOptions(address);
    const AgentClass = options.protocol === "https"
      ? (await import("node:https")).Agent
      : HttpAgent;
    const agent = new AgentClass(
      { keepAlive: true, maxFreeSockets: 8, timeout: 0 },
    );
    // The client formats its options for each request, for a log that is off.
    Object.assign(agent, { [Symbol.for("nodejs.util.inspect.custom")]: () => "Agent" });
    return new Engine(address, new Client({ ...options, agent }), agent);
  }

  /** Returns the engine's properties; asks once. */
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

  /** Creates a container; status 409 if the name is taken, 404 if there is no such image. */
  async createContainer(name: string, body: ContainerBody, signal: AbortSignal): Promise<string> {
    return await callEngine(`create container "${name}"`, signal, async (abortSignal) => {
      // Without these two the client would put the whole body, secrets included, into the URL.
      const options = { _query: { name }, _body: body, abortSignal };
      return (await this.#docker.createContainer(options)).id;
    });
  }

  /** Starts a container unless it runs. */
  async startContainer(container: string, signal: AbortSignal): Promise<void> {
    await callUnless([304], `start container "${container}"`, signal, async (abortSignal) => {
      await this.#docker.getContainer(container).start({ abortSignal });
    });
  }

  /** @returns `undefined` if there is no such container. */
  async inspectContainer(
    container: string,
    signal: AbortSignal,
  ): Promise<ContainerInfo | undefined> {
    const what = `inspect container "${container}"`;
    return await callUnless([404], what, signal, async (abortSignal) => {
      const answer = await this.#docker.getContainer(container).inspect({ abortSignal });
      return v.parse(containerInfo, answer);
    });
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
    const what = `ask for events of container "${container}"`;
    return await callEngine(what, signal, async (abortSignal) => {
      const stream = await this.#docker.getEvents({
        since: "0",
        until: (untilMs / 1_000).toFixed(3),
        filters: { container: [container], event: ["oom"] },
        abortSignal,
      });
      for await (const bytes of readStream(what, stream, abortSignal)) {
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
    await callUnless([404, 409], `signal container "${container}"`, signal, async (abortSignal) => {
      await this.#docker.getContainer(container).kill({ signal: name, abortSignal });
    });
  }

  /** Removes a container and its volumes, running or not, if there is one. */
  async removeContainer(container: string, signal: AbortSignal): Promise<void> {
    await callUnless([404], `remove container "${container}"`, signal, async (abortSignal) => {
      await this.#docker.getContainer(container).remove({ force: true, v: true, abortSignal });
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
      const stream = await this.#docker.getContainer(container).getArchive({ path, abortSignal });
      return await readArchivedFile(readStream(what, stream, abortSignal), SMALL_BYTES);
    });
  }

  /** Renames a container. */
  async renameContainer(container: string, name: string, signal: AbortSignal): Promise<void> {
    await callEngine(`rename container "${container}"`, signal, async (abortSignal) => {
      await this.#docker.getContainer(container).rename({ name, abortSignal });
    });
  }

  /** Lists the containers with all of the labels, running or not. */
  async listContainers(
    labels: readonly string[],
    signal: AbortSignal,
  ): Promise<readonly ContainerSummary[]> {
    const filters = { label: [...labels] };
    return await callEngine("list containers", signal, async (abortSignal) => {
      const answer = await this.#docker.listContainers({ all: true, filters, abortSignal });
      return v.parse(v.array(containerSummary), answer);
    });
  }

  /** @returns `undefined` if the engine does not have the image. */
  async inspectImage(image: string, signal: AbortSignal): Promise<ImageInfo | undefined> {
    return await callUnless([404], `inspect image "${image}"`, signal, async (abortSignal) => {
      const answer = await raceAbort(this.#docker.getImage(image).inspect(), abortSignal);
      return v.parse(imageInfo, answer);
    });
  }

  /** Lists all images that have a name or a label, without intermediate ones. */
  async listImages(signal: AbortSignal): Promise<readonly ImageSummary[]> {
    return await callEngine("list images", signal, async (abortSignal) => {
      return v.parse(v.array(imageSummary), await this.#docker.listImages({ abortSignal }));
    });
  }

  /** Makes an image without files and settings; returns its id, which no other one has. */
  async makeEmptyImage(signal: AbortSignal): Promise<string> {
    const what = "make an empty image";
    return await callEngine(what, signal, async (abortSignal) => {
      // An archive without members ends with two blocks of zeros.
      const archive = Buffer.alloc(1_024);
      const changes = `LABEL unique=${crypto.randomUUID()}`;
      const stream = await this.#docker.importImage(archive, { changes, abortSignal });
      return await readImportedId(readStream(what, stream, abortSignal));
    });
  }

  /** Removes an image by name or id; status 409 while it is in use, or has several names. */
  async removeImage(image: string, signal: AbortSignal): Promise<void> {
    await callUnless([404], `remove image "${image}"`, signal, async (abortSignal) => {
      await this.#docker.getImage(image).remove({ abortSignal });
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
      () => this.#docker.pull(image, { abortSignal: signal, ...options }),
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
      const answer = await this.#docker.listNetworks({ filters, abortSignal });
      return v.parse(v.array(networkInfo), answer);
    });
  }

  /** Removes a network; status 403 or 409 while it is in use. */
  async removeNetwork(network: string, signal: AbortSignal): Promise<void> {
    await callUnless([404], `remove network "${network}"`, signal, async (abortSignal) => {
      await this.#docker.getNetwork(network).remove({ abortSignal });
    });
  }

  /** Closes all connections, idle or not. */
  [Symbol.dispose](): void {
    this.#agent.destroy();
  }
}

const SMALL_BYTES = 4 * 1024 * 1024;

function clientOptions(address: EngineAddress) {
  if (address.kind === "unix") return { socketPath: address.path };
  const { host, port, tlsDirectory } = address;
  if (tlsDirectory === undefined) return { host, port, protocol: "http" };
  const [ca, cert, key] = ["ca.pem", "cert.pem", "key.pem"].map((name) =>
    readPem(`${tlsDirectory}/${name}`)
  );
  return { host, port, protocol: "https", ca, cert, key };
}

function readPem(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch (error) {
    throw new EngineError(
      "engine_unavailable",
      `Cannot read "${path}" for the container engine's TLS`,
      { cause: error },
    );
  }
}
