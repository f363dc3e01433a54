/**
 * Creates and starts the container of an attempt, at most once.
 *
 * @module
 */
import type { Clock } from "@lib/core/clock.ts";
import { CicdError, messageOf } from "@lib/core/errors.ts";
import type { Engine } from "@lib/foundations/docker/engine.ts";
import { EngineError, hasStatus } from "@lib/foundations/docker/engine_error.ts";
import type { ContainerBody, ContainerInfo } from "@lib/foundations/docker/engine_types.ts";
import { existsSync, readIfThereSync, writeAtomicSync } from "@lib/foundations/files/records.ts";
import { openRegular } from "@lib/foundations/files/regular_file.ts";
import {
  containerIssues,
  type ContainerRules,
  mountSourceProblem,
} from "@lib/spine/spec/container_policy.ts";
import type { AttemptHandle, AttemptRequest } from "@lib/spine/jobs/executor.ts";
import type { JobSpec } from "@lib/spine/spec/job_spec.ts";
import {
  containerBody,
  containerOf,
  jobContainerName,
} from "@lib/features/containers/container_config.ts";
import { isRunning, wasStarted } from "@lib/features/containers/container_monitor.ts";
import { isContainerOf } from "@lib/features/containers/job_labels.ts";
import { execFailureOf } from "@lib/features/containers/container_result.ts";
import { wasBegun } from "@lib/spine/executors/evidence.ts";
import { logFilesOf, recordExecFailure } from "@lib/spine/executors/directory_files.ts";

/** Options for {@linkcode startContainer}. */
export interface StartContainerOptions {
  readonly stateDir: string;
  readonly rules: ContainerRules & { readonly tasks: number };
  readonly account: { readonly uid: number; readonly gid: number };
  readonly withoutInit: boolean;
  /** Called if the engine turns out to have no init process. */
  readonly onNoInit: () => void;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** Returns the name of an attempt's container, which its directory may record. */
function containerNameOf({ ref, directory }: Pick<AttemptHandle, "ref" | "directory">): string {
  return readIfThereSync(otherNameFile(directory.path))?.trim() ?? jobContainerName(ref);
}

/** A start of this call. */
export interface Started {
  /** The id of the container; absent if the engine could not execute the program in it. */
  readonly container: string | undefined;
}

/** A program that the engine cannot execute has ended at once. */
const NOT_EXECUTED: Started = { container: undefined };

/**
 * Creates and starts an attempt's container.
 *
 * @returns `exists` if it was started before.
 * @throws {CicdError} `executor_failed` if it was not started, `engine_unavailable` if that is
 * unknown.
 */
export async function startContainer(
  engine: Engine,
  request: AttemptRequest,
  options: StartContainerOptions,
): Promise<Started | "exists"> {
  const { clock } = options;
  const { directory } = request;
  if (existsSync(directory.resultFile)) return "exists";
  let id: string | undefined;
  if (wasBegun(request)) {
    const info = await fenceIfMade(engine, request, options);
    if (info === undefined || wasStarted(info)) return "exists";
    id = info.id;
  } else {
    if (!canEnter(request)) {
      recordExecFailure(directory, 200, clock.now());
      return NOT_EXECUTED;
    }
    prepare(request);
    id = await create(engine, request, options);
    if (id === undefined) return "exists";
  }
  return await start(engine, id, request, options);
}

/**
 * Checks the container a last time before it is created.
 *
 * @returns The request, with the symlinks in its mount sources resolved.
 */
function checked(
  engine: Engine,
  request: AttemptRequest,
  { rules, stateDir }: StartContainerOptions,
): AttemptRequest {
  const container = containerOf(request.spec);
  const [issue] = containerIssues(container, rules);
  if (issue !== undefined) throw refused(`${issue.path} ${issue.message}`);
  if (container.mounts.length === 0) return request;
  const engineSockets = engine.address.kind === "unix" ? [realPath(engine.address.path)] : [];
  const real = { ...rules, mounts: rules.mounts.filter(existsSync).map(realPath) };
  const mounts = container.mounts.map((mount) => {
    const source = realPath(mount.source);
    const problem = mountSourceProblem(source, real, {
      engineSockets,
      stateDir: realPath(stateDir),
    });
    if (problem !== undefined) throw refused(`container.mounts ${problem}`);
    return { ...mount, source };
  });
  return { ...request, spec: { ...request.spec, container: { ...container, mounts } } };
}

function realPath(path: string): string {
  try {
    return Deno.realPathSync(path);
  } catch (error) {
    throw refused(`container.mounts has "${path}": ${messageOf(error)}`);
  }
}

function refused(why: string): CicdError {
  return new CicdError("executor_failed", `Cannot create the job's container: ${why}`);
}

/** Tells if the job's directory exists; the engine would create a missing one, as root. */
function canEnter({ spec: { workdir = "." }, directory }: AttemptRequest): boolean {
  if (workdir.startsWith("/")) return true;
  try {
    const workspace = Deno.realPathSync(directory.workspace);
    const path = Deno.realPathSync(`${directory.workspace}/${workdir}`);
    return Deno.statSync(path).isDirectory &&
      (path === workspace || path.startsWith(`${workspace}/`));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) {
      return false;
    }
    // It belongs to the container's user by now.
    if (error instanceof Deno.errors.PermissionDenied) return true;
    throw error;
  }
}

/** Prepares what the container mounts, if an earlier step did not. */
function prepare({ spec, directory }: AttemptRequest): void {
  Deno.mkdirSync(directory.home, { recursive: true, mode: 0o700 });
  if (mayBeHeld(spec)) {
    Deno.writeTextFileSync(directory.heldFile, "");
    Deno.chmodSync(directory.heldFile, 0o644);
  }
  // The job may have another user; the directory above keeps all others out.
  if (spec.work.kind === "script") Deno.chmodSync(directory.scriptFile, 0o644);
}

/**
 * Creates the container, under another name if somebody else's has the usual one.
 *
 * @returns Its id; `undefined` if it was created and started before.
 */
async function create(
  engine: Engine,
  request: AttemptRequest,
  options: StartContainerOptions,
): Promise<string | undefined> {
  const { stateDir, rules, account, withoutInit, signal } = options;
  const facts = await engine.facts(signal);
  const body = containerBody(checked(engine, request, options), {
    facts,
    init: facts.hasInit && !withoutInit,
    account,
    stateDir,
    tasks: rules.tasks,
    holdable: mayBeHeld(request.spec) ? await holdableOf(engine, request, options) : undefined,
  });
  for (let isFirst = true;; isFirst = false) {
    try {
      return await engine.createContainer(containerNameOf(request), body, signal);
    } catch (error) {
      if (!hasStatus(error, 409)) throw explained(error, body);
      const info = await findContainer(engine, request, options);
      if (info !== undefined) return wasStarted(info) ? undefined : info.id;
      if (!isFirst) throw error;
      // Recorded first: the next agent looks for it there.
      recordName(request, otherNameOf(request));
    }
  }
}

/** Tells if a container may have to wait for people. */
function mayBeHeld({ holdMs = 0 }: JobSpec): boolean {
  return holdMs > 0;
}

/** Returns what a container that can be held begins with; `undefined` if its image has no shell. */
async function holdableOf(
  engine: Engine,
  { spec }: AttemptRequest,
  { stateDir, signal }: StartContainerOptions,
) {
  const { image } = containerOf(spec);
  const info = await engine.inspectImage(image, signal);
  if (info === undefined) return undefined;
  const { imageHas } = await import("@lib/features/containers/container_account.ts");
  return await imageHas(engine, { image, stateDir, path: "/bin/sh" }, signal) ? info : undefined;
}

async function start(
  engine: Engine,
  id: string,
  request: AttemptRequest,
  options: StartContainerOptions,
): Promise<Started | "exists"> {
  const { clock, signal } = options;
  if (existsSync(request.directory.fenceFile)) {
    await engine.removeContainer(id, signal);
    throw refused("the runner gave up the attempt");
  }
  for (const path of logFilesOf(request.directory, request.spec.output)) {
    openRegular(path, { create: true, append: true, mode: 0o600 }).close();
  }
  try {
    await engine.startContainer(id, signal);
    return { container: id };
  } catch (error) {
    if (!(error instanceof EngineError) || error.status === undefined) throw error;
    // The engine refused, so the job was not executed.
    const info = await engine.inspectContainer(id, signal);
    if (info !== undefined && isRunning(info)) return "exists";
    await engine.removeContainer(id, signal);
    if (!options.withoutInit && /docker-init|catatonit|container-init/.test(error.message)) {
      options.onNoInit();
      const plain = { ...options, withoutInit: true };
      const next = await create(engine, request, plain);
      return next === undefined ? "exists" : await start(engine, next, request, plain);
    }
    const exitCode = execFailureOf(request, error.message);
    if (exitCode !== undefined) {
      recordExecFailure(request.directory, exitCode, clock.now());
      return NOT_EXECUTED;
    }
    for (const path of logFilesOf(request.directory, request.spec.output)) Deno.removeSync(path);
    throw error;
  }
}

/**
 * Finds the container of an attempt that has a log, and renames one that was never started.
 *
 * An earlier agent may have died while its request to start the container was on its way. That
 * request uses the old name, so under the new one only this process can start it, and not twice.
 *
 * @returns The container after that; `undefined` if there is none.
 */
export async function fenceIfMade(
  engine: Engine,
  attempt: AttemptHandle,
  options: FindOptions,
): Promise<ContainerInfo | undefined> {
  const info = await findContainer(engine, attempt, options);
  if (info === undefined || wasStarted(info)) return info;
  const name = otherNameOf(attempt);
  await engine.renameContainer(info.id, name, options.signal);
  recordName(attempt, name);
  return await engine.inspectContainer(info.id, options.signal);
}

/** Options for {@linkcode findContainer}. */
export type FindOptions = Pick<StartContainerOptions, "stateDir" | "signal">;

/** Finds an attempt's container; somebody else's of its name is none. */
export async function findContainer(
  engine: Pick<Engine, "inspectContainer">,
  attempt: Pick<AttemptHandle, "ref" | "directory">,
  { stateDir, signal }: FindOptions,
): Promise<ContainerInfo | undefined> {
  const info = await engine.inspectContainer(containerNameOf(attempt), signal);
  return info !== undefined && isContainerOf(info.labels, stateDir, attempt.ref) ? info : undefined;
}

function otherNameOf({ ref }: AttemptHandle): string {
  return `${jobContainerName(ref)}-${crypto.randomUUID().slice(0, 8)}`;
}

function recordName({ directory }: AttemptHandle, name: string): void {
  writeAtomicSync(otherNameFile(directory.path), `${name}\n`);
}

function otherNameFile(directory: string): string {
  return `${directory}/container`;
}

/** Rewords a refusal in terms of the job. */
function explained(error: unknown, { Image, HostConfig }: ContainerBody): unknown {
  if (!(error instanceof EngineError) || error.status === undefined) return error;
  const { status, message } = error;
  const reworded = (text: string) =>
    new EngineError("executor_failed", text, { status, cause: error });
  if (HostConfig.StorageOpt !== undefined && /storage-opt|quota|storage driver/i.test(message)) {
    return reworded(
      "Cannot limit the container's disk: the engine's storage driver has no quotas here; omit " +
        "limits.disk",
    );
  }
  if (status === 404 && /image/i.test(message)) {
    return reworded(`Cannot create the job's container: there is no image "${Image}" here`);
  }
  return error;
}
