/**
 * Joins the parts of the agent.
 *
 * @module
 */
import { agentHandler } from "@lib/spine/agent_link/agent_server.ts";
import { AttemptHost } from "@lib/spine/attempts/attempt_host.ts";
import type { AgentPart, ContainerFinder, DescriptorStore } from "@lib/api/feature.ts";
import type { Config } from "@lib/foundations/config/config.ts";
import { HTTP, PROGRAM } from "@lib/foundations/config/program_keys.ts";
import { agentSocketPath } from "@lib/foundations/config/agent_socket.ts";
import { JOB_DEFAULTS } from "@lib/spine/spec/keys.ts";
import { systemClock } from "@lib/core/clock.ts";
import { CicdError, toCicdError } from "@lib/core/errors.ts";
import type { ProjectName } from "@lib/core/ids.ts";
import type { Logger } from "@lib/core/logger.ts";
import { TaskGroup } from "@lib/core/task_group.ts";
import { VERSION } from "@lib/core/version.ts";
import { problemResponse } from "@lib/foundations/http/problem.ts";
import { type Listener, startHttpServer } from "@lib/foundations/http/server.ts";
import type { Executor } from "@lib/spine/jobs/executor.ts";
import { recordLog } from "@lib/spine/logs/log_recorder.ts";
import { compileSecrets } from "@lib/spine/logs/job_masks.ts";
import { bytesIfThereSync } from "@lib/foundations/files/records.ts";
import { maskText } from "@lib/foundations/secrets/redactor.ts";
import { openSetupLog } from "@lib/spine/logs/setup_log.ts";
import { readBootId } from "@lib/foundations/process/boot_id.ts";
import { LogWatcher } from "@lib/spine/logs/log_watcher.ts";
import { openKey, sealMap, unsealMap } from "@lib/foundations/secrets/seal.ts";
import { lockDirectory } from "@lib/foundations/store/state_lock.ts";
import { ensurePrivateDirectory } from "../shared/directories.ts";
import { agentParts, agentServices, makeExecutor, projectDirectory } from "../shared/executor.ts";

/** The parts that the agent is made from. */
interface AgentInput {
  readonly project: ProjectName;
  readonly config: () => Config;
  /** Reads the configuration again. */
  readonly reload: (signal: AbortSignal) => Promise<void>;
  /** Reads it again if it is not the one of this stamp. */
  readonly configure: (stamp: string) => Promise<void>;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Of jobs that run as processes. */
  readonly umask: number;
  readonly descriptors: DescriptorStore;
  readonly log: Logger;
  /** Sockets passed by the service manager. */
  readonly listeners: readonly Listener[];
  /** Keeps a descriptor from every child. */
  readonly setCloseOnExec: (fd: number) => void;
  /** The next job starts it again after an exit. */
  readonly isOnDemand: boolean;
  /** The socket to make otherwise; by default the one that the runner expects. */
  readonly listenPath: string | undefined;
}

/** Starts the agent: running jobs are adopted before the socket is served. */
export async function startAgent(input: AgentInput) {
  const { project, config, log } = input;
  const { stateDir, runtimeDir } = config().of(PROGRAM);
  const clock = systemClock;
  const startedAt = clock.now();
  await using parts = new AsyncDisposableStack();
  ensurePrivateDirectory(stateDir);
  ensurePrivateDirectory(runtimeDir);
  const directory = projectDirectory(input);
  ensurePrivateDirectory(directory);
  // Two agents that start at once must not both adopt the same attempts.
  parts.use(lockDirectory({ directory, program: "cicd-agent", remedy: "it serves this project" }));
  const key = openKey(`${stateDir}/secrets.key`);
  const { env, umask, descriptors } = input;
  const parted: AgentPart[] = [];
  const containerOf: ContainerFinder = async (attempt, signal) => {
    for (const part of parted) {
      const found = await part.containerOf?.(attempt, signal);
      if (found !== undefined) return found;
    }
    return undefined;
  };
  const services = agentServices(
    { project, config, env, umask, descriptors, clock, log, containerOf },
    directory,
  );
  const features = await agentParts(services);
  parted.push(...features);
  parts.defer(async () => {
    for (const feature of features) {
      feature[Symbol.dispose]?.();
      await feature[Symbol.asyncDispose]?.();
    }
  });
  const executor = parts.use(await makeExecutor(services, features));
  const watcher = parts.use(new LogWatcher({ clock }));
  const host = parts.use(
    new AttemptHost({
      project,
      stateDir,
      executor,
      bootId: readBootId(),
      configure: input.configure,
      holdMaxMs: () => config().of(JOB_DEFAULTS).holdMaxMs,
      onHoldEnded: async (ref) => {
        for (const { onHoldEnded } of features) await onHoldEnded?.(ref);
      },
      recordLog: (directory, spec, signal) =>
        recordLog({
          directory,
          output: spec.output,
          maxBytes: spec.logMaxBytes,
          clock,
          onFailure: (error) => log.warning("Cannot index a log; trying again", { error }),
          watcher,
          signal,
        }),
      steps: features.flatMap(({ steps = [] }) => steps),
      endHelpers: async () => {
        const { endMarked } = await import("@lib/foundations/process/marked_helpers.ts");
        return endMarked(directory);
      },
      setupTimeoutMs: () => config().of(JOB_DEFAULTS).setupTimeoutMs,
      openSetupLog: (directory, mask) =>
        openSetupLog(directory, {
          clock,
          mask,
          onFailure: (error) => log.warning("Cannot write a setup log", { error }),
        }),
      environmentOf: services.environmentOf,
      maskOf: async (secrets) => {
        const patterns = await compileSecrets(secrets);
        return (text) => maskText(patterns, text);
      },
      sealedSecrets: ({ secretsFile }, { jobId }) => {
        const sealed = bytesIfThereSync(secretsFile);
        if (sealed === undefined) throw new CicdError("io_failed", "Their file is missing");
        return Object.fromEntries(unsealMap(key, sealed, jobId));
      },
      seal: (secrets, { jobId }) => sealMap(key, new Map(Object.entries(secrets)), jobId),
      clock,
      log,
    }),
  );
  await host.adopt();
  for (const { adopt } of features) await adopt?.(new AbortController().signal);
  const isBusy = () =>
    host.attempts.length > 0 || host.holds > 0 || features.some((each) => each.isBusy?.() === true);
  let exits = false;
  const http = config().of(HTTP);
  const server = parts.use(
    await startHttpServer({
      keepFromChildren: input.setCloseOnExec,
      listeners: input.listeners.length > 0
        ? input.listeners
        : [{ kind: "unix", path: input.listenPath ?? agentSocketPath(runtimeDir, project) }],
      limits: {
        maxConnections: 8_192,
        maxHeaderBytes: http.maxHeaderBytes,
        headerTimeoutMs: 30_000,
      },
      upgrade: (request) => upgradeOf(features, request),
      handle: withFeatures(
        features,
        agentHandler({
          project,
          attempts: host,
          status: async (signal) => ({
            project,
            version: VERSION,
            pid: Deno.pid,
            started_at: startedAt,
            executor: executor.kind,
            attempts: host.attempts,
            ...await projectUse(executor, signal),
          }),
          reload: input.reload,
          exit() {
            if (isBusy() || !input.isOnDemand) {
              const why = input.isOnDemand ? "it has work" : "no job would start it again";
              throw new CicdError("state_conflict", `Cannot end the agent of "${project}": ${why}`);
            }
            exits = true;
          },
          clock,
          maxBodyBytes: 4 * http.maxBodyBytes,
          onError: (error) => log.error("A request of the runner failed unexpectedly", { error }),
        }),
      ),
      onError: (what, error) => log.error(what, { error }),
    }),
  );
  let busyAt = startedAt;
  const tasks = parts.use(
    new TaskGroup({
      onFailure: (task, error) => log.error("A background task failed", { task, error }),
    }),
  );
  for (const { tasks: own = {} } of features) {
    for (const [name, run] of Object.entries(own)) tasks.spawn(name, run);
  }
  const owned = parts.move();
  return {
    /** Returns one line for `systemctl status`. */
    status() {
      const count = host.attempts.length;
      const held = host.holds === 0 ? "" : `, ${host.holds} held`;
      const running = count === 0 ? "idle" : `${count} running`;
      return `Project ${project}: ${running}${held} (${executor.kind})`;
    },
    /** Returns the idleness after which to exit; 0 for never. */
    idleExitMs() {
      if (exits) return 1;
      return input.isOnDemand ? config().of(PROGRAM).agentIdleExitMs : 0;
    },
    /** Returns the milliseconds of idleness. */
    idleForMs() {
      const now = clock.now();
      if (isBusy()) exits = false;
      if (isBusy() || server.activeRequests > 0 || executor.tidying === true) busyAt = now;
      return now - Math.max(busyAt, server.lastActivityAt);
    },
    unhealthyReason: () => executor.unhealthyReason(),
    [Symbol.asyncDispose]: () => owned[Symbol.asyncDispose](),
  };
}

/** Lets the features answer what is theirs. */
function withFeatures(
  features: readonly AgentPart[],
  handle: (request: Request) => Promise<Response>,
): (request: Request) => Promise<Response> {
  return async (request) => {
    try {
      for (const feature of features) {
        const answer = await feature.handle?.(request);
        if (answer !== undefined) return answer;
      }
    } catch (error) {
      return problemResponse(toCicdError(error));
    }
    return await handle(request);
  };
}

async function upgradeOf(features: readonly AgentPart[], request: Request) {
  for (const feature of features) {
    const session = await feature.upgrade?.(request);
    if (session !== undefined) return session;
  }
  throw new CicdError("not_found", "Cannot open a WebSocket there");
}

async function projectUse(executor: Executor, signal: AbortSignal) {
  const { limits, usage } = await executor.describeProject(signal);
  const wire = (
    { cpu, memoryBytes, tasks, cpuSeconds }: typeof limits & typeof usage,
  ): Record<string, number> => ({
    ...(cpu === undefined ? {} : { cpu }),
    ...(memoryBytes === undefined ? {} : { memory_bytes: memoryBytes }),
    ...(tasks === undefined ? {} : { tasks }),
    ...(cpuSeconds === undefined ? {} : { cpu_seconds: cpuSeconds }),
  });
  return { limits: wire(limits), usage: wire(usage) };
}
