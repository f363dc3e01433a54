/**
 * The Gryt-compatible API in the runner: joins its parts.
 *
 * The outbox, the pulling and outgoing requests are loaded on first use.
 *
 * @module
 */
import type { RunnerPart, RunnerServices } from "@lib/api/feature.ts";
import { CicdError, messageOf } from "@lib/core/errors.ts";
import { AgentsFront } from "@lib/features/gryt/agents_front.ts";
import { publicAddressCheck } from "@lib/features/gryt/callback_target.ts";
import { EngineWatch } from "@lib/features/gryt/engine_watch.ts";
import { answerEnded, cancelGrytJob, takeGrytJob } from "@lib/features/gryt/gryt_jobs.ts";
import { GRYT_JOB_LABEL } from "@lib/features/gryt/job_spec.ts";
import { GRYT } from "@lib/features/gryt/keys.ts";
import { type GrytEntry, GrytLedger } from "@lib/features/gryt/ledger.ts";
import type { Outbox } from "@lib/features/gryt/outbox.ts";
import { OutboxStore } from "@lib/features/gryt/outbox_store.ts";
import type { SendRequest } from "@lib/features/gryt/outgoing.ts";
import { isGrytPath, noSuchPath, wrongMethod } from "@lib/features/gryt/problems.ts";
import type { PullOptions } from "@lib/features/gryt/pull.ts";
import { grytLogSocket, grytRoutes } from "@lib/features/gryt/routes.ts";
import { type GrytService, WaitingAnswers } from "@lib/features/gryt/service.ts";
import { type GrytSettings, readGrytSettings } from "@lib/features/gryt/settings.ts";
import { ENGINE } from "@lib/foundations/config/program_keys.ts";
import type { Metric } from "@lib/foundations/metrics/metric.ts";
import { isTerminal, type Job } from "@lib/spine/jobs/model.ts";
export { GRYT_MIGRATIONS as migrations } from "@lib/features/gryt/ledger.ts";

/** Makes the part. */
export function part(services: RunnerServices): RunnerPart {
  const gryt = new Gryt(services);
  return {
    routes: grytRoutes(services, gryt.service),
    sockets: [grytLogSocket(services, gryt.service)],
    foreignPaths: { owns: isGrytPath, notFound: noSuchPath, methodNotAllowed: wrongMethod },
    metrics: () => gryt.metrics(),
    start: () => gryt.start(),
    reconfigured: () => gryt.reconfigured(),
    hasWork: () => gryt.hasWork(),
    answered: (signal) => gryt.service.waiting.given(signal),
    [Symbol.dispose]: () => gryt[Symbol.dispose](),
  };
}

/** Verdicts that are made in one go. */
const SETTLE_AT_ONCE = 16;
/** Wait after a verdict that failed. */
const SETTLE_AGAIN_MS = 60_000;

const send: SendRequest = async (request) => {
  const { sendRequest } = await import("@lib/features/gryt/outgoing.ts");
  return await sendRequest(request);
};

class Gryt implements Disposable {
  readonly service: GrytService;
  readonly #services: RunnerServices;
  #settings: { readonly of: object; readonly settings: GrytSettings } | undefined;
  #outbox: Outbox | undefined;
  #listening: Disposable | undefined;
  #settling = false;
  #pulling = false;

  constructor(services: RunnerServices) {
    const { db, clock } = services;
    this.#services = services;
    this.service = {
      settings: () => this.#readSettings(),
      engine: new EngineWatch({ ping: () => this.#pingEngine(), clock }),
      ledger: new GrytLedger(db),
      outbox: new OutboxStore(db),
      front: new AgentsFront({ send, clock }),
      waiting: new WaitingAnswers(),
    };
  }

  /** Continues the work of an earlier process. */
  start(): void {
    this.#listening = this.#services.events.listen((job) => this.#onChange(job));
    this.#settle();
    this.#wakeOutbox();
    this.reconfigured();
  }

  [Symbol.dispose](): void {
    this.#listening?.[Symbol.dispose]();
  }

  reconfigured(): void {
    if (this.service.settings().pullUrl !== undefined && !this.#pulling) this.#pull();
  }

  /** Returns whether the process must not exit as idle: results are pending, or jobs are pulled. */
  hasWork(): boolean {
    return this.service.outbox.pending() > 0 || this.service.settings().pullUrl !== undefined;
  }

  /** Counts jobs by the result of their pipelines, which exit codes of containers do not show. */
  metrics(): readonly Metric[] {
    const { succeeded, failed } = this.service.ledger.totals();
    const jobs = succeeded.jobs + failed.jobs;
    const byResult = (figure: "jobs" | "seconds") => ({
      type: "counter" as const,
      labelNames: ["result"],
      samples: [
        { labels: { result: "success" }, value: succeeded[figure] },
        { labels: { result: "failure" }, value: failed[figure] },
      ],
    });
    return [
      {
        name: "cicd_gryt_jobs",
        help: "Jobs of the Gryt-compatible API that ended, by result",
        ...byResult("jobs"),
      },
      {
        name: "cicd_gryt_job_seconds",
        help: "Run time of ended jobs of the Gryt-compatible API",
        ...byResult("seconds"),
      },
      {
        name: "cicd_gryt_job_average_seconds",
        help: "Average run time of a job of the Gryt-compatible API",
        type: "gauge",
        samples: [{ value: jobs === 0 ? 0 : (succeeded.seconds + failed.seconds) / jobs }],
      },
      {
        name: "cicd_gryt_results_owed",
        help: "Results of ended jobs that are still to be delivered",
        type: "gauge",
        samples: [{ value: this.service.outbox.pending() }],
      },
    ];
  }

  #onChange(job: Job): void {
    if (!isTerminal(job.state) || job.spec.labels[GRYT_JOB_LABEL] === undefined) return;
    this.#settle();
    this.#wakeOutbox();
  }

  #readSettings(): GrytSettings {
    const { config, env, log } = this.#services;
    const of = config();
    if (this.#settings?.of !== of) {
      const settings = readGrytSettings({ config: of.of(GRYT), env });
      for (const problem of settings.problems) {
        log.error("The Gryt-compatible API is misconfigured", { problem });
      }
      this.#settings = { of, settings };
    }
    return this.#settings.settings;
  }

  async #pingEngine(): Promise<string | undefined> {
    const { findEngine } = await import("@lib/foundations/docker/find_engine.ts");
    const { pingEngine } = await import("@lib/foundations/docker/ping.ts");
    try {
      const { host } = this.#services.config().of(ENGINE);
      const address = findEngine({ host, env: this.#services.env });
      await pingEngine(address, { signal: new AbortController().signal });
      return undefined;
    } catch (error) {
      if (error instanceof CicdError) return messageOf(error);
      throw error;
    }
  }

  /** Settles ended jobs, so that the metrics also count jobs whose clients disconnected. */
  #settle(): void {
    if (this.#settling) return;
    this.#settling = true;
    const { tasks, clock, log } = this.#services;
    tasks.spawn("gryt verdicts", async (signal) => {
      try {
        for (;;) {
          const ended = this.service.ledger.withoutVerdict(SETTLE_AT_ONCE);
          if (ended.length === 0) return;
          try {
            for (const entry of ended) await this.#answerOf(entry, signal);
          } catch (error) {
            signal.throwIfAborted();
            log.error("Cannot determine the verdict on a job; trying again", { error });
            await clock.sleep(SETTLE_AGAIN_MS, { signal });
          }
        }
      } finally {
        this.#settling = false;
      }
    });
  }

  #answerOf({ jobId, grytId }: GrytEntry, signal: AbortSignal) {
    const job = this.#services.store.require(jobId);
    return answerEnded(this.#services, this.service, { job, grytId, signal });
  }

  #wakeOutbox(): void {
    if (this.#outbox !== undefined) return this.#outbox.wake();
    const { settings, outbox: store } = this.service;
    if (store.nextAt() === undefined) return;
    const { tasks, clock, log } = this.#services;
    tasks.spawn("gryt outbox", async (signal) => {
      const { Outbox } = await import("@lib/features/gryt/outbox.ts");
      if (this.#outbox !== undefined) return this.#outbox.wake();
      const answerOf = this.#answerOf.bind(this);
      this.#outbox = new Outbox({
        store,
        settings,
        answerOf,
        send,
        publicAddressCheck,
        clock,
        log,
      });
      await this.#outbox.run(signal);
    });
  }

  #pull(): void {
    this.#pulling = true;
    const { service } = this;
    const services = this.#services;
    const options: PullOptions = {
      settings: service.settings,
      agent: Deno.hostname(),
      room: () => this.#room(),
      accept: (request, pulled) => {
        const taken = takeGrytJob(services, service, { request, pulled });
        // The job may have ended in an earlier process.
        this.#wakeOutbox();
        return taken.kind === "failed" ? taken.answer : undefined;
      },
      leased: () => service.ledger.leased(),
      cancel: (jobId) => cancelGrytJob(services, jobId),
      send,
      clock: services.clock,
      log: services.log,
    };
    services.tasks.spawn("gryt pull", async (signal) => {
      const { pullJobs } = await import("@lib/features/gryt/pull.ts");
      await pullJobs(options, signal);
    });
    services.tasks.spawn("gryt leases", async (signal) => {
      const { keepLeases } = await import("@lib/features/gryt/pull.ts");
      await keepLeases(options, signal);
    });
  }

  /** Counts the jobs that could start now; jobs that would have to wait are left to other agents. */
  async #room(): Promise<number> {
    const { store, intake, maxRunningOf, facts } = this.#services;
    const { project } = this.service.settings();
    if (!await this.service.engine.available()) return 0;
    try {
      intake.assertOpen(project);
      intake.assertRoom();
      intake.assertDisk();
    } catch (error) {
      if (error instanceof CicdError) return 0;
      throw error;
    }
    const open = store.counts().filter(({ state }) => !isTerminal(state));
    const sum = (rows: typeof open) => rows.reduce((total, { count }) => total + count, 0);
    return Math.min(
      maxRunningOf(project) - sum(open.filter((row) => row.project === project)),
      facts().maxRunning - sum(open),
    );
  }
}
