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
import {
  containerBody,
  containerOf,
  jobContainerName,
} from "@lib/features/containers/container_config.ts";
import { isRunning, wasStarted } from "@lib/features/containers/container_monitor.ts";
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

/** Returns the name of an attempt's container; {@linkcode fenceIfMade} may have changed it. */
export function containerNameOf({ ref, directory }: AttemptHandle): string {
  return readIfThereSync(otherNameFile(directory.path))?.trim() ?? jobContainerName(ref);
}

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
): Promise<"started" | "exists"> {
  const { clock, signal } = options;
  const { directory } = request;
  if (existsSync(directory.resultFile)) return "exists";
  let name = jobContainerName(request.ref);
  if (wasBegun(request)) {
    const info = await fenceIfMade(engine, request, signal);
    if (info === undefined || wasStarted(info)) return "exists";
    name = info.id;
  } else {
    if (!canEnter(request)) {
      recordExecFailure(directory, 200, clock.now());
      return "started";
    }
    prepare(request, options);
    if (await create(engine, name, request, options) === "exists") return "exists";
  }
  return await start(engine, name, request, options);
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
    throw error;
  }
}

/** Prepares the directories that the container mounts. */
function prepare({ spec, directory }: AttemptRequest, { account }: StartContainerOptions): void {
  Deno.mkdirSync(directory.home, { recursive: true, mode: 0o700 });
  const { user } = containerOf(spec);
  if (account.uid !== 0 && user === undefined) return;
  // The job may have another user; the directory above keeps all others out.
  Deno.chmodSync(directory.home, 0o777);
  Deno.chmodSync(directory.workspace, 0o777);
  if (spec.work.kind === "script") Deno.chmodSync(directory.scriptFile, 0o644);
}

async function create(
  engine: Engine,
  name: string,
  request: AttemptRequest,
  options: StartContainerOptions,
): Promise<"created" | "exists"> {
  const { stateDir, rules, account, withoutInit, signal } = options;
  const facts = await engine.facts(signal);
  const body = containerBody(checked(engine, request, options), {
    facts,
    init: facts.hasInit && !withoutInit,
    account,
    stateDir,
    tasks: rules.tasks,
  });
  try {
    await engine.createContainer(name, body, signal);
    return "created";
  } catch (error) {
    if (hasStatus(error, 409)) {
      const info = await engine.inspectContainer(name, signal);
      return info !== undefined && wasStarted(info) ? "exists" : "created";
    }
    throw explained(error, body);
  }
}

async function start(
  engine: Engine,
  name: string,
  request: AttemptRequest,
  options: StartContainerOptions,
): Promise<"started" | "exists"> {
  const { clock, signal } = options;
  if (existsSync(request.directory.fenceFile)) {
    await engine.removeContainer(name, signal);
    throw refused("the runner gave up the attempt");
  }
  for (const path of logFilesOf(request.directory, request.spec.output)) {
    openRegular(path, { create: true, append: true, mode: 0o600 }).close();
  }
  try {
    await engine.startContainer(name, signal);
    return "started";
  } catch (error) {
    if (!(error instanceof EngineError) || error.status === undefined) throw error;
    // The engine refused, so the job was not executed.
    const info = await engine.inspectContainer(name, signal);
    if (info !== undefined && isRunning(info)) return "exists";
    await engine.removeContainer(name, signal);
    if (!options.withoutInit && /docker-init|catatonit|container-init/.test(error.message)) {
      options.onNoInit();
      const plain = { ...options, withoutInit: true };
      await create(engine, name, request, plain);
      return await start(engine, name, request, plain);
    }
    const exitCode = execFailureOf(request, error.message);
    if (exitCode !== undefined) {
      recordExecFailure(request.directory, exitCode, clock.now());
      return "started";
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
  signal: AbortSignal,
): Promise<ContainerInfo | undefined> {
  const info = await engine.inspectContainer(containerNameOf(attempt), signal);
  if (info === undefined || wasStarted(info)) return info;
  const { ref, directory } = attempt;
  const name = `${jobContainerName(ref)}-${crypto.randomUUID().slice(0, 8)}`;
  await engine.renameContainer(info.id, name, signal);
  writeAtomicSync(otherNameFile(directory.path), `${name}\n`);
  return await engine.inspectContainer(info.id, signal);
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
