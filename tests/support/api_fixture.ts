/**
 * The API's handler over a store in memory, without a socket.
 *
 * @module
 */
import { apiHandler } from "@lib/api/router.ts";
import type { ApiPorts, JobLogs } from "@lib/api/ports.ts";
import { Gate } from "@lib/features/access/gate.ts";
import { KeyStore } from "@lib/features/access/key_store.ts";
import type { Origin } from "@lib/foundations/http/listener.ts";
import { JobEvents } from "@lib/spine/jobs/job_events.ts";
import type { LogReading } from "@lib/spine/logs/log_reader.ts";
import { FakeClock } from "./fake_clock.ts";
import { type MemoryStore, openMemoryStore } from "./job_fixtures.ts";
import { RecordingLogger } from "./recording_logger.ts";

/** An API to ask. */
export interface ApiFixture extends MemoryStore {
  readonly ports: ApiPorts;
  readonly log: RecordingLogger;
  readonly clock: FakeClock;
  /** What `logs.read` gives, by job id; absent: nothing. */
  readonly logs: Map<string, string>;
  readonly keys: KeyStore;
  /** Asks; a body is sent as JSON unless it is text. */
  ask(method: string, path: string, options?: AskOptions): Promise<Response>;
}

/** What goes along with a question. */
export interface AskOptions {
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
  /** Where the question comes from. @default {{ kind: "local" }} */
  readonly origin?: Origin;
}

/** Makes an API; `changes` stand in for its ports. */
export function openApi(changes: Partial<ApiPorts> = {}): ApiFixture {
  const events = new JobEvents();
  const memory = openMemoryStore({ onChange: (job, before) => events.publish(job, before) });
  const clock = new FakeClock(1_000);
  const log = new RecordingLogger();
  const logs = new Map<string, string>();
  const keys = new KeyStore(memory.db, clock);
  const ports: ApiPorts = {
    keys,
    access: new Gate({ keys, requestsPerMinute: () => 600, clock, log }),
    store: memory.store,
    events,
    logs: logsOf(logs),
    artifacts: { list: () => Promise.resolve(undefined), find: () => Promise.resolve(undefined) },
    clock,
    log,
    bodyLimits: () => ({ maxBytes: 1_000_000, timeoutMs: 60_000 }),
    defaultsOf: () => ({
      shell: "/bin/sh",
      env: {},
      limits: {},
      timeoutMs: 60_000,
      graceMs: 5_000,
      priority: 5,
      logMaxBytes: 1_000_000,
      pull: "missing",
      network: "bridge",
      rules: {
        containers: { allow: [], mounts: [], networks: [], images: [], network: "bridge" },
        git: { schemes: ["https"] },
      },
    }),
    configuredProjects: () => [],
    maxRunningOf: () => 4,
    assertRoom() {},
    assertOpen() {},
    assertDisk() {},
    seal: (secrets) => new TextEncoder().encode(JSON.stringify(secrets)),
    agentView: () => Promise.resolve({ running: false, detail: {} }),
    wakeQueue() {},
    facts: () => ({
      version: "1.2.3",
      build: "source",
      pid: 1,
      startedAt: 0,
      agents: "child",
      maxRunning: 4,
      stateDir: "/state",
      warnings: [],
    }),
    unreadyReasons: () => [],
    sweep: {
      store: memory.store,
      stateDir: "/state",
      limits: () => ({
        maxAgeMs: 1,
        maxJobs: 1,
        maxBytes: 1,
        minFreeDiskBytes: 1,
        intervalMs: 1,
      }),
      clock,
      log,
    },
    clean: ({ dryRun }) =>
      Promise.resolve({
        dryRun,
        items: [],
        skipped: [],
        freeBytesBefore: 1,
        freeBytesAfter: 1,
      }),
    renderMetrics: () => Promise.resolve({ text: "# EOF\n", contentType: "text/plain" }),
    ...changes,
  };
  const handle = apiHandler(ports);
  return {
    ...memory,
    ports,
    log,
    clock,
    logs,
    keys,
    ask: (method, path, { body, headers = {}, signal, origin = LOCAL } = {}) =>
      handle(
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
