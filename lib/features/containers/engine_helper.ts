/**
 * Runs a program of this machine as root of the engine, on a few directories.
 *
 * The account need not be root, and a rootless engine's root may change what its users own. The image
 * is an empty one of its own: an image of a job could bring libraries to load, variables, volumes, a
 * health check or names of users, and so decide what root does.
 *
 * @module
 */
import type { Engine } from "@lib/foundations/docker/engine.ts";
import { existsSync } from "@lib/foundations/files/records.ts";
import { helperLabels } from "@lib/features/containers/job_labels.ts";

/** Limit of one run. */
const TIMEOUT_MS = 10 * 60_000;
/** Limit of the removal of the container, and of the image. */
const REMOVE_MS = 60_000;
/** The directories of this machine that programs need. */
const PROGRAMS = ["/usr", "/bin", "/lib", "/lib64"];

/** Settings of a helper's container, to which nobody talks. */
export const DETACHED = { OpenStdin: false, Tty: false } as const;

/** Confinement of a helper's container: no network, no privilege, no log, no second start. */
export const CONFINED = {
  NetworkMode: "none",
  PidsLimit: 64,
  Ulimits: [],
  Privileged: false,
  CapDrop: ["ALL"],
  SecurityOpt: ["no-new-privileges"],
  OomScoreAdj: 500,
  LogConfig: { Type: "none", Config: {} },
  RestartPolicy: { Name: "no" },
  AutoRemove: false,
} as const;

/** Options for {@linkcode runAsEngineRoot}. */
export interface EngineHelperOptions {
  /** The purpose, in the container's name. */
  readonly purpose: string;
  /** Directories of this machine and where the program finds them. */
  readonly mounts: readonly { readonly source: string; readonly target: string }[];
  /** Without the prefix `CAP_`. */
  readonly capabilities: readonly string[];
  readonly stateDir: string;
  readonly signal: AbortSignal;
}

/**
 * Runs a program to its end, in a container without a network; the container is gone afterwards.
 *
 * @returns Its exit code.
 */
export async function runAsEngineRoot(
  engine: Engine,
  argv: readonly string[],
  { purpose, mounts, capabilities, stateDir, ...options }: EngineHelperOptions,
): Promise<number | undefined> {
  const signal = AbortSignal.any([options.signal, AbortSignal.timeout(TIMEOUT_MS)]);
  const bind = (Source: string, Target: string, ReadOnly: boolean) => (
    { Type: "bind", Source, Target, ReadOnly } as const
  );
  await using stack = new AsyncDisposableStack();
  const image = await engine.makeEmptyImage(signal);
  stack.defer(() => engine.removeImage(image, AbortSignal.timeout(REMOVE_MS)));
  const id = await engine.createContainer(`cicd-${purpose}-${crypto.randomUUID()}`, {
    Image: image,
    Entrypoint: argv,
    Cmd: [],
    Env: [],
    User: "0:0",
    WorkingDir: "/",
    Labels: helperLabels(stateDir),
    ...DETACHED,
    HostConfig: {
      ...CONFINED,
      Mounts: [
        ...mounts.map(({ source, target }) => bind(source, target, false)),
        ...PROGRAMS.filter(existsSync).map((directory) => bind(directory, directory, true)),
      ],
      CapAdd: capabilities,
    },
  }, signal);
  // Also after an abort: the program must not go on.
  stack.defer(() => engine.removeContainer(id, AbortSignal.timeout(REMOVE_MS)));
  await engine.startContainer(id, signal);
  await engine.waitContainer(id, signal);
  return (await engine.inspectContainer(id, signal))?.exitCode;
}
