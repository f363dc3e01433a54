/**
 * Joins the parts of the runner.
 *
 * @module
 */
import { AgentClient } from "@lib/spine/agent_link/agent_client.ts";
import type { RunnerPart, RunnerServices } from "@lib/api/feature.ts";
import { makeRouter } from "@lib/api/router.ts";
import { systemClock } from "@lib/core/clock.ts";
import { CicdError, messageOf, toCicdError } from "@lib/core/errors.ts";
import type { ProjectName } from "@lib/core/ids.ts";
import type { Logger } from "@lib/core/logger.ts";
import { TaskGroup } from "@lib/core/task_group.ts";
import { VERSION } from "@lib/core/version.ts";
import { layoutOf, programCommand } from "@lib/features/install/program_paths.ts";
import { HTTP, PROGRAM } from "@lib/foundations/config/program_keys.ts";
import { type HttpServer, type Listener, startHttpServer } from "@lib/foundations/http/server.ts";
import { readBootId } from "@lib/foundations/process/boot_id.ts";
import { envelopePrefix, openKey, sealMap, unsealMap } from "@lib/foundations/secrets/seal.ts";
import { openDatabase } from "@lib/foundations/store/database.ts";
import { Reserve } from "@lib/foundations/store/reserve.ts";
import { lockState } from "@lib/foundations/store/state_lock.ts";
import { Dispatcher } from "@lib/spine/queue/dispatcher.ts";
import { CgroupMoves } from "@lib/foundations/systemd/cgroup_moves.ts";
import { Intake } from "@lib/spine/queue/intake.ts";
import { DISK, QUEUE } from "@lib/spine/queue/keys.ts";
import { JobStore } from "@lib/spine/queue/job_store.ts";
import { Rejoin } from "@lib/spine/queue/rejoin.ts";
import { countForeignSecrets, SecretRemoval } from "@lib/spine/queue/secret_removal.ts";
import { retryJob, submitJob, submitJobSoon } from "@lib/spine/queue/submit.ts";
import { JobEvents } from "@lib/spine/jobs/job_events.ts";
import { isTerminal, type Job } from "@lib/spine/jobs/model.ts";
import { COMMIT_SCHEDULE } from "@lib/spine/queue/commit_group.ts";
import type { Changes } from "@lib/spine/queue/job_changes.ts";
import { JobLogReader } from "@lib/spine/logs/job_logs.ts";
import { JobMasks } from "@lib/spine/logs/job_masks.ts";
import { LogWatcher } from "@lib/spine/logs/log_watcher.ts";
import { ensurePrivateDirectory } from "../shared/directories.ts";
import { FEATURES } from "../features.ts";
import { makeStandIn } from "../shared/executor.ts";
import { type AgentHostInput, makeAgentHost } from "./agent_host.ts";
import { loadRunnerModules, schemasOf } from "./schemas.ts";

/** The parts that the runner is made from. */
interface RunnerInput extends AgentHostInput {
  readonly listeners: readonly Listener[];
  /** Dangers of the listeners, one sentence each. */
  readonly warnings: readonly string[];
  /** A project whose agent is being started already. */
  readonly woken?: ProjectName;
  /** Keeps a descriptor from every child. */
  readonly setCloseOnExec: (fd: number) => void;
}

/** Starts the runner: store, queue, link to the agents, API. */
export async function startRunner(input: RunnerInput) {
  const { config, log } = input;
  const clock = systemClock;
  const startedAt = clock.now();
  await using parts = new AsyncDisposableStack();
  const { stateDir, runtimeDir } = config.current.of(PROGRAM);
  ensurePrivateDirectory(stateDir);
  ensurePrivateDirectory(runtimeDir);
  parts.use(lockState(stateDir));
  const modules = await loadRunnerModules();
  const reserve = new Reserve(stateDir);
  const db = parts.use(
    openDatabase({
      path: `${stateDir}/runner.db`,
      reserve,
      schemas: schemasOf(modules),
    }),
  );
  const key = openKey(`${stateDir}/secrets.key`);
  const events = new JobEvents();
  const store: JobStore = new JobStore({
    db,
    ageingMs: config.current.of(QUEUE).ageingMs,
    onChange(job, before) {
      logChange(log, job, before);
      events.publish(job, before);
      dispatcher.onChange(job);
      rejoin.onChange(job);
      removal.onChange(job);
    },
    onUnrecorded: (job) => dispatcher.onChange(job),
    schedule: COMMIT_SCHEDULE,
    successors: (changes) => dispatcher.successors(changes),
  });
  /** Returns none for a job that has ended for good: its secrets are removed, its logs are masked. */
  const secretsOf = (job: Job): ReadonlyMap<string, string> => {
    const sealed = store.sealedSecrets(job.id);
    return sealed === undefined ? new Map() : unsealMap(key, sealed, job.id);
  };
  const masks = new JobMasks(secretsOf);
  const host = parts.use(await makeAgentHost(input));
  const link = parts.use(
    new AgentClient({
      host,
      secretsOf(job) {
        try {
          const secrets = Object.fromEntries(secretsOf(job));
          return job.spec.secretNames.every((name) => Object.hasOwn(secrets, name))
            ? secrets
            : null;
        } catch (error) {
          log.error("Cannot unseal the secrets of a job", { jobId: job.id, error });
          return null;
        }
      },
      maskOf: (job) => masks.maskOf(job).catch(() => (text) => text),
      bootIdOf: (job) => store.bootIdOf(job),
      configStamp: () => config.stamp,
      urgently: reserve.urgently,
      executorOf: (project) =>
        makeStandIn({ config: () => config.current, env: input.env, clock, log }, project),
      agentIdleExitMs: () => config.current.of(PROGRAM).agentIdleExitMs,
      ...(input.woken === undefined ? {} : { woken: input.woken }),
      maxAgents: () => config.current.of(QUEUE).maxAgents,
      stateDir,
      clock,
      log,
    }),
  );
  const rejoin = new Rejoin({ jobs: store.inFlight(), clock });
  const dispatcher = parts.use(
    new Dispatcher({
      store,
      runner: rejoin.around(link),
      diskProblem: () => intake.stateProblem() ?? reserve.problem(),
      bootId: readBootId(),
      // The job itself is as before.
      onWaiting: (job) => events.publish(job, job),
      limits: () => ({
        maxRunning: config.current.of(QUEUE).maxRunning,
        maxProjects: config.current.of(QUEUE).maxAgents,
        maxRunningOf: (project) => config.maxRunningOf(project),
        startTimeoutMs: config.current.of(QUEUE).startTimeoutMs,
        stopTimeoutMs: config.current.of(QUEUE).stopTimeoutMs,
      }),
      clock,
      log,
    }),
  );
  const watcher = parts.use(new LogWatcher({ clock }));
  const logs = new JobLogReader({
    stateDir,
    read: (id) => store.require(id),
    events,
    watcher,
    masks,
    clock,
  });
  const removal = parts.use(
    new SecretRemoval({
      db,
      store,
      async maskKept(job, signal) {
        await logs.mask(job, signal);
        const mask = await services.maskOf(job).catch(() => (text: string) => text);
        for (const { maskKept } of features) await maskKept?.(job, mask, signal);
        return mask;
      },
      clock,
      log,
    }),
  );
  const intake = new Intake({
    store,
    limits: () => ({ ...config.current.of(QUEUE), ...config.current.of(DISK) }),
    stateDir,
    reserveProblem: () => reserve.problem(),
    clock,
  });
  const layout = layoutOf(Deno.execPath(), Deno.mainModule);
  const tasks = parts.use(
    new TaskGroup({
      onFailure: (task, error) => log.error("A background task failed", { task, error }),
    }),
  );
  const stopping = new AbortController();
  const cgroupMoves = new CgroupMoves();
  const features: RunnerPart[] = [];
  parts.defer(() => {
    for (const feature of features) feature[Symbol.dispose]?.();
  });
  const services: RunnerServices = {
    config: () => config.current,
    env: input.env,
    clock,
    log,
    db,
    store,
    events,
    logs,
    maskOf: (job) => masks.maskOf(job),
    intake,
    submit: (body, options) => submitJob(submitPorts, body, options),
    submitSoon: (body, options) => submitJobSoon(submitPorts, body, options),
    async retry(id, options) {
      const queued = await retryJob(retryPorts, id, options);
      masks.forget(id);
      return queued;
    },
    tasks,
    stopping: stopping.signal,
    get authenticator() {
      const found = features.find(({ authenticator }) => authenticator !== undefined);
      if (found?.authenticator === undefined) throw new TypeError("No feature authenticates");
      return found.authenticator;
    },
    bodyLimits: () => ({
      maxBytes: config.current.of(HTTP).maxBodyBytes,
      timeoutMs: config.current.of(HTTP).bodyTimeoutMs,
    }),
    configuredProjects: () => [...config.current.projects],
    maxRunningOf: (project) => config.maxRunningOf(project),
    agentProblems: () => link.problems(),
    agents: host,
    agentView: (project, signal) => viewAgent(link, project, signal),
    statesKnown: (signal) => rejoin.known(signal),
    waitingReason: (job) =>
      isTerminal(job.state) ? undefined : intake.stateProblem() ?? dispatcher.waitingReason(job),
    wakeQueue: () => dispatcher.wake(),
    startExpected(ending = 0) {
      const isFree = store.inFlightCount() - ending < config.current.of(QUEUE).maxRunning;
      if (isFree) services.unitExpected();
    },
    unitExpected() {
      // Only the service manager moves what it starts.
      if (host.kind === "systemd") void cgroupMoves.prepare();
    },
    facts: () => ({
      version: VERSION,
      build: layout.kind,
      pid: Deno.pid,
      startedAt,
      agents: host.kind,
      maxRunning: config.current.of(QUEUE).maxRunning,
      stateDir,
      unreadableSecrets: countForeignSecrets(db, envelopePrefix(key)),
      warnings: input.warnings,
    }),
    ownCommand: () => programCommand("runner", Deno.execPath(), Deno.mainModule),
    unreadyReasons: () =>
      [intake.stateProblem() ?? dispatcher.unreadyReason(), intake.diskProblem()].filter((reason) =>
        reason !== undefined
      ),
    serverLoad: () => server,
    parts: () => features,
    async cleanSources() {
      return (await cleaningModules()).flatMap(({ sources }) => sources(services));
    },
    async removeForeign(path, signal) {
      for (const module of await cleaningModules()) {
        await module.removeForeign?.(path, services, signal);
      }
    },
  };
  const submitPorts = {
    store,
    clock,
    intake,
    defaultsOf: (project: ProjectName) => config.defaultsOf(project),
    claim: (job: Job, changes: Changes) => dispatcher.claim(job, changes),
    seal: (secrets: Readonly<Record<string, string>>, jobId: Job["id"]) =>
      sealMap(key, new Map(Object.entries(secrets)), jobId),
  };
  const retryPorts = {
    ...submitPorts,
    removeSecrets: (job: Job, signal: AbortSignal) => removal.finish(job, signal),
  };
  for (const { part } of modules) features.push(part(services));
  const router = makeRouter({
    routes: features.flatMap(({ routes = [] }) => routes),
    sockets: features.flatMap(({ sockets = [] }) => sockets),
    foreignPaths: features.flatMap(({ foreignPaths }) => foreignPaths ?? []),
    authenticator: services.authenticator,
    jobs: store,
    version: VERSION,
    log,
  });
  const { maxConnections, maxHeaderBytes } = config.current.of(HTTP);
  const server: HttpServer = parts.use(
    await startHttpServer({
      keepFromChildren: input.setCloseOnExec,
      listeners: input.listeners,
      limits: { maxConnections, maxHeaderBytes, headerTimeoutMs: 30_000 },
      handle: router.handle,
      upgrade: router.upgrade,
      isForRemote: true,
      onError: (what, error) => log.error(what, { error }),
    }),
  );
  for (const { start } of features) start?.();
  dispatcher.start();
  removal.start();
  log.debug("Runner started", { stateDir, agents: host.kind, layout: layout.kind });
  const hasFeatureWork = () => features.some(({ hasWork }) => hasWork?.() === true);
  const links = () => features.flatMap((feature) => feature.links?.() ?? []);
  const owned = parts.move();
  const stopAccepting = () => {
    stopping.abort(new CicdError("runner_stopping", "Cannot go on: the runner stops"));
    server.stopAccepting();
  };
  return {
    server,
    /** Ends answers that go on, and accepts no connection any more. */
    stopAccepting,
    /** Returns one line for `systemctl status`. */
    status() {
      const { queued, inFlight } = counts(store);
      const work = inFlight + queued === 0 ? "Idle" : `${inFlight} running, ${queued} queued`;
      return [work, ...links().map(({ name, state }) => `${name} ${state}`)].join(", ");
    },
    /** Returns the milliseconds of idleness. */
    idleForMs() {
      const { queued, inFlight } = counts(store);
      if (server.activeRequests > 0 || queued + inFlight > 0 || removal.isBusy) return 0;
      if (hasFeatureWork()) return 0;
      return clock.now() - Math.max(server.lastActivityAt, startedAt);
    },
    /** Tells if the process stays although it is idle. */
    keepsRunning: () => features.some(({ keepsRunning }) => keepsRunning?.() === true),
    /** Tells if a job is queued or in flight, or a result is owed. */
    hasWork() {
      const { queued, inFlight } = counts(store);
      return queued + inFlight > 0 || hasFeatureWork();
    },
    unhealthyReason(): string | undefined {
      try {
        store.queuedCount();
      } catch (error) {
        // A full disk is no reason to be killed: a new process would find it full too.
        if (toCicdError(error).code !== "disk_full") {
          return `the store does not respond: ${messageOf(error)}`;
        }
      }
      return dispatcher.unhealthyReason();
    },
    /** Applies a changed configuration, here and in the agents that run jobs. */
    async reconfigured(signal: AbortSignal) {
      dispatcher.wake();
      for (const { reconfigured } of features) reconfigured?.();
      await link.reload(new Set(store.inFlight().map(({ spec }) => spec.project)), signal);
    },
    /** Waits for answers that are due when a job ends, as {@linkcode RunnerPart} says. */
    async answered(signal: AbortSignal) {
      const waited = await Promise.all(features.map(({ answered }) => answered?.(signal)));
      return waited.includes(true);
    },
    /** Ends the links to other systems. */
    async leave(signal: AbortSignal) {
      await Promise.all(features.map(({ leave }) => leave?.(signal)));
    },
    async [Symbol.asyncDispose]() {
      stopAccepting();
      await owned[Symbol.asyncDispose]();
    },
  };
}

async function cleaningModules() {
  return await Promise.all(FEATURES.flatMap(({ cleaning }) => cleaning?.() ?? []));
}

function counts(store: JobStore) {
  return { queued: store.queuedCount(), inFlight: store.inFlightCount() };
}

function logChange(log: Logger, job: Job, before: Job | undefined): void {
  const fields = { jobId: job.id, project: job.spec.project, attempt: job.attempt };
  if (before === undefined) return log.info("Job queued", fields);
  if (before.state === job.state) return;
  const { state, reason, exitCode } = job;
  if (isTerminal(state)) log.info("Job ended", { ...fields, state, reason, exitCode });
  else log.debug("Job changed", { ...fields, state });
}

async function viewAgent(link: AgentClient, project: ProjectName, signal: AbortSignal) {
  const status = await link.status(project, signal);
  return status === undefined
    ? { running: false, detail: {} }
    : { running: true, detail: { ...status } };
}
