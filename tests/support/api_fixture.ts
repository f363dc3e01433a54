/**
 * The API's handler over a store in memory, without a socket.
 *
 * @module
 */
import { parseProjectName } from "@lib/core/ids.ts";
import type { JobLogs, RunnerPart, RunnerServices } from "@lib/api/feature.ts";
import type { AnyRoute } from "@lib/api/route.ts";
import { makeRouter, type Router } from "@lib/api/router.ts";
import { KeyAuthenticator } from "@lib/features/access/authenticator.ts";
import { keyRoutes } from "@lib/features/access/key_routes.ts";
import { KeyStore } from "@lib/features/access/key_store.ts";
import { artifactRoutes } from "@lib/features/artifacts/artifact_routes.ts";
import { cleaningRoutes } from "@lib/features/cleaning/routes.ts";
import { AgentsFront } from "@lib/features/gryt/agents_front.ts";
import { EngineWatch } from "@lib/features/gryt/engine_watch.ts";
import { GrytLedger } from "@lib/features/gryt/ledger.ts";
import { OutboxStore } from "@lib/features/gryt/outbox_store.ts";
import { isGrytPath, noSuchPath, wrongMethod } from "@lib/features/gryt/problems.ts";
import { grytRoutes } from "@lib/features/gryt/routes.ts";
import { type GrytService, WaitingAnswers } from "@lib/features/gryt/service.ts";
import { hostRoutes } from "@lib/features/host/host_routes.ts";
import { part as jobsPart } from "@lib/features/jobs/runner.ts";
import { part as statusPart } from "@lib/features/status/runner.ts";
import type { Origin } from "@lib/foundations/http/listener.ts";
import { JobEvents } from "@lib/spine/jobs/job_events.ts";
import { TaskGroup } from "@lib/core/task_group.ts";
import type { LogReading } from "@lib/spine/logs/log_reader.ts";
import { retryJob, submitJob, submitJobSoon, type SubmitPorts } from "@lib/spine/queue/submit.ts";
import { FakeClock } from "./fake_clock.ts";
import { type MemoryStore, openMemoryStore, PLAIN_DEFAULTS } from "./job_fixtures.ts";
import { RecordingLogger } from "./recording_logger.ts";

/** An API to ask. */
export interface ApiFixture extends MemoryStore {
  readonly services: RunnerServices;
  readonly routes: readonly AnyRoute[];
  readonly router: Router;
  readonly defaultsOf: SubmitPorts["defaultsOf"];
  readonly log: RecordingLogger;
  readonly clock: FakeClock;
  /** Logs that `logs.read` returns, by job id; none if absent. */
  readonly logs: Map<string, string>;
  readonly keys: KeyStore;
  readonly authenticator: KeyAuthenticator;
  /** Asks; a body is sent as JSON unless it is text. */
  ask(method: string, path: string, options?: AskOptions): Promise<Response>;
}

/** Options of a request. */
export interface AskOptions {
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
  /** Where the question comes from. @default {{ kind: "local" }} */
  readonly origin?: Origin;
}

/** Stand-ins for the runner's own parts. */
export interface ApiChanges extends Partial<RunnerServices> {
  readonly defaultsOf?: SubmitPorts["defaultsOf"];
  /** Parts in the place of a feature's, by the feature's name. */
  readonly replaced?: Readonly<Record<string, (services: RunnerServices) => RunnerPart>>;
}

/** The mask of jobs without secrets. */
export const noMask: RunnerServices["maskOf"] = () => Promise.resolve((text) => text);

/** Makes an API of all features; `changes` stand in for what is around them. */
export function openApi(
  { replaced = {}, defaultsOf = plainDefaults, ...changes }: ApiChanges = {},
): ApiFixture {
  const events = new JobEvents();
  const memory = openMemoryStore({ onChange: (job, before) => events.publish(job, before) });
  const clock = new FakeClock(1_000);
  const log = new RecordingLogger();
  const logs = new Map<string, string>();
  const keys = new KeyStore(memory.db, clock);
  const authenticator = new KeyAuthenticator({ keys, requestsPerMinute: () => 600, clock, log });
  const made: RunnerPart[] = [];
  const seal = (secrets: Readonly<Record<string, string>>) =>
    new TextEncoder().encode(JSON.stringify(secrets));
  const submitPorts = (): SubmitPorts => ({
    store: memory.store,
    clock,
    intake: services.intake,
    defaultsOf,
    seal,
  });
  const services: RunnerServices = {
    config: () => {
      throw new TypeError("The parts of this fixture are made without a configuration");
    },
    env: {},
    clock,
    log,
    db: memory.db,
    store: memory.store,
    events,
    logs: logsOf(logs),
    maskOf: noMask,
    intake: { assertRoom() {}, assertOpen() {}, assertDisk() {} },
    submit: (body, options) => submitJob(submitPorts(), body, options),
    submitSoon: (body, options) => submitJobSoon(submitPorts(), body, options),
    retry: (id, options) =>
      retryJob(
        { store: memory.store, clock, seal, removeSecrets: () => Promise.resolve() },
        id,
        options,
      ),
    tasks: new TaskGroup({ onFailure: (task, error) => log.error(task, { error }) }),
    stopping: new AbortController().signal,
    authenticator,
    bodyLimits: () => ({ maxBytes: 1_000_000, timeoutMs: 60_000 }),
    configuredProjects: () => [],
    maxRunningOf: () => 4,
    agentProblems: () => [],
    agents: {
      socketPath: (project) => `/run/agents/${project}.sock`,
      ensureListening: () => Promise.reject(new Error("This fixture has no agents")),
    },
    agentView: () => Promise.resolve({ running: false, detail: {} }),
    waitingReason: () => undefined,
    statesKnown: () => Promise.resolve(),
    wakeQueue() {},
    startExpected() {},
    unitExpected() {},
    facts: () => ({
      version: "1.2.3",
      build: "source",
      pid: 1,
      startedAt: 0,
      agents: "child",
      maxRunning: 4,
      stateDir: "/state",
      unreadableSecrets: 0,
      warnings: [],
    }),
    ownCommand: () => ["/bin/false"],
    unreadyReasons: () => [],
    serverLoad: () => ({ connections: 0, activeRequests: 0 }),
    parts: () => made,
    cleanSources: () => Promise.resolve([]),
    removeForeign: () => Promise.resolve(),
    ...changes,
  };
  const all = { ...plainParts(keys), ...replaced };
  for (const make of Object.values(all)) made.push(make(services));
  const routes = made.flatMap((part) => part.routes ?? []);
  const router = makeRouter({
    routes,
    sockets: made.flatMap((part) => part.sockets ?? []),
    foreignPaths: made.flatMap((part) => part.foreignPaths ?? []),
    authenticator: services.authenticator,
    jobs: services.store,
    version: "1.2.3",
    log,
  });
  return {
    ...memory,
    services,
    routes,
    router,
    defaultsOf,
    log,
    clock,
    logs,
    keys,
    authenticator,
    ask: (method, path, { body, headers = {}, signal, origin = LOCAL } = {}) =>
      router.handle(
        new Request(`http://localhost${path}`, {
          method,
          headers,
          ...(body === undefined
            ? {}
            : { body: typeof body === "string" ? body : JSON.stringify(body) }),
          ...(signal === undefined ? {} : { signal }),
        }),
        origin,
      ),
  };
}

const LOCAL: Origin = { kind: "local" };

/** The defaults of a project without a configuration. */
export const plainDefaults: SubmitPorts["defaultsOf"] = () => ({
  ...PLAIN_DEFAULTS,
  shell: "/bin/sh",
  pull: "missing",
  network: "bridge",
  rules: {
    containers: { allow: [], mounts: [], networks: [], images: [], network: "bridge" },
    git: { schemes: ["https"] },
  },
});

type Parts = Readonly<Record<string, (services: RunnerServices) => RunnerPart>>;

/** The features, without what needs a disk, an engine or a network. */
function plainParts(keys: KeyStore): Parts {
  const nothing = () => Promise.resolve(undefined);
  return {
    jobs: jobsPart,
    artifacts: () => ({ routes: artifactRoutes({ list: nothing, find: nothing }, noMask) }),
    status: statusPart,
    host: (services) => ({ routes: hostRoutes(services, nothing) }),
    cleaning: () => ({
      routes: cleaningRoutes({
        clean: ({ dryRun }) =>
          Promise.resolve({
            dryRun,
            items: [],
            skipped: [],
            freeBytesBefore: 1,
            freeBytesAfter: 1,
            remains: { items: [], count: 0 },
          }),
      }),
    }),
    access: (services) => ({ routes: keyRoutes(keys, services) }),
    gryt: (services) => grytPart(services, unconfiguredGryt(services)),
  };
}

/** Gryt's API on a service of the test's own. */
export function grytPart(services: RunnerServices, gryt: GrytService): RunnerPart {
  return {
    routes: grytRoutes(services, gryt),
    foreignPaths: { owns: isGrytPath, notFound: noSuchPath, methodNotAllowed: wrongMethod },
  };
}

/** Gryt's API without a key or an engine. */
export function unconfiguredGryt({ db, clock }: RunnerServices): GrytService {
  const project = parseProjectName("gryt");
  if (project === undefined) throw new TypeError("gryt is a project's name");
  return {
    settings: () => ({
      project,
      image: "image",
      timeoutMs: 1,
      maxOutputBytes: 1,
      callbacks: [],
      agentUrls: [],
      problems: [],
    }),
    engine: new EngineWatch({ ping: () => Promise.resolve("there is none"), clock }),
    ledger: new GrytLedger(db),
    outbox: new OutboxStore(db),
    front: new AgentsFront({
      send: () => Promise.resolve({ kind: "unreachable", why: "refused" }),
      clock,
    }),
    waiting: new WaitingAnswers(),
  };
}

function logsOf(logs: ReadonlyMap<string, string>): JobLogs {
  const bytesOf = (id: string) => new TextEncoder().encode(logs.get(id) ?? "");
  return {
    size: (job) => Promise.resolve(bytesOf(job.id).length),
    read(job, { from, to }): LogReading {
      const bytes = bytesOf(job.id);
      let offset = from;
      async function* chunks(): AsyncGenerator<Uint8Array, void, undefined> {
        const chunk = bytes.subarray(from, to);
        offset += chunk.length;
        if (chunk.length > 0) yield await Promise.resolve(chunk);
      }
      const iterator = chunks();
      return {
        get offset() {
          return offset;
        },
        [Symbol.asyncIterator]: () => iterator,
      };
    },
  };
}
