/**
 * One engine for all tests of a file.
 *
 * @module
 */
import type { ContainerBody, HostBody } from "@lib/foundations/docker/engine_types.ts";
import { type DockerEngine, startDockerEngine } from "./docker_engine.ts";

/** A container as closed as can be, made without the program that makes those of jobs. */
export function plainContainer(
  body: Pick<ContainerBody, "Image" | "Cmd"> & Partial<ContainerBody>,
  host: Partial<HostBody> = {},
): ContainerBody {
  return {
    Env: [],
    WorkingDir: "/",
    Labels: {},
    OpenStdin: false,
    Tty: false,
    ...body,
    HostConfig: {
      NetworkMode: "none",
      Mounts: [],
      PidsLimit: 32,
      Ulimits: [],
      Privileged: false,
      CapDrop: [],
      CapAdd: [],
      SecurityOpt: [],
      OomScoreAdj: 0,
      LogConfig: { Type: "none", Config: {} },
      RestartPolicy: { Name: "no" },
      AutoRemove: false,
      ...host,
    },
  };
}

/**
 * Registers the start of an engine before the first test of the file, and its end after the last.
 *
 * @param prepare Makes what all tests need, such as images.
 * @returns The engine, to be used within tests.
 */
export function useDockerEngine(
  prepare: (engine: DockerEngine) => Promise<void> = (engine) => engine.importBusybox(),
): Pick<DockerEngine, "host"> & { readonly engine: DockerEngine } {
  let engine: DockerEngine | undefined;
  const started = (): DockerEngine => {
    if (engine === undefined) throw new TypeError("The engine is used outside a test");
    return engine;
  };
  Deno.test.beforeAll(async () => {
    engine = await startDockerEngine();
    await prepare(engine);
  });
  Deno.test.afterAll(async () => {
    await engine?.[Symbol.asyncDispose]();
  });
  return {
    get engine() {
      return started();
    },
    get host() {
      return started().host;
    },
  };
}
