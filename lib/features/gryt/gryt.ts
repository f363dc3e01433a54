/**
 * Joins the parts behind the Gryt-compatible API.
 *
 * What only its users need, the outbox, the pulling, requests to others, is
 * loaded when the first of them shows up.
 *
 * @module
 */
import type { RunnerServices } from "@lib/api/feature.ts";
import { CicdError, messageOf } from "@lib/core/errors.ts";
import { AgentsFront } from "@lib/features/gryt/agents_front.ts";
import { EngineWatch } from "@lib/features/gryt/engine_watch.ts";
import { GRYT_JOB_LABEL } from "@lib/features/gryt/job_spec.ts";
import { GRYT } from "@lib/features/gryt/keys.ts";
import { GrytLedger } from "@lib/features/gryt/ledger.ts";
import type { Outbox } from "@lib/features/gryt/outbox.ts";
import { OutboxStore } from "@lib/features/gryt/outbox_store.ts";
import type { SendRequest } from "@lib/features/gryt/outgoing.ts";
import type { GrytService } from "@lib/features/gryt/service.ts";
import { type GrytSettings, readGrytSettings } from "@lib/features/gryt/settings.ts";
import { WaitingAnswers } from "@lib/features/gryt/waiting_answers.ts";
import { ENGINE } from "@lib/foundations/config/program_keys.ts";
import { isTerminal, type Job } from "@lib/spine/jobs/model.ts";

/** Ended jobs that are judged in one go. */
const JUDGE_AT_ONCE = 16;
/** Between two tries to judge, after one has failed. */
const JUDGE_AGAIN_MS = 60_000;

/** Sent without loading what it takes before the first request. */
const send: SendRequest = async (request) => {
  const { sendRequest } = await import("@lib/features/gryt/outgoing.ts");
  return await sendRequest(request);
};

/** The Gryt-compatible API of a runner. */
export class Gryt implements Disposable {
  readonly service: GrytService;
  readonly #services: RunnerServices;
  #settings: { readonly of: object; readonly settings: GrytSettings } | undefined;
  #outbox: Outbox | undefined;
  #listening: Disposable | undefined;
  #judging = false;
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

  /** Takes up what an earlier process left. */
  start(): void {
    this.#listening = this.#services.events.listen((job) => this.#onChange(job));
    this.#judge();
    this.#wakeOutbox();
    this.reconfigured();
  }

  [Symbol.dispose](): void {
    this.#listening?.[Symbol.dispose]();
  }

  /** The configuration may have changed. */
  reconfigured(): void {
    const { pullUrl } = this.service.settings();
    if (pullUrl !== undefined && !this.#pulling) this.#pull();
  }

  /** Whether the process must not end for idleness: results are owed, or jobs are asked for. */
  hasWork(): boolean {
    return this.service.outbox.pending() > 0 || this.service.settings().pullUrl !== undefined;
  }

  /** What the metrics tell. */
  figures() {
    const { ledger, outbox } = this.service;
    return { ...ledger.totals(), owed: outbox.pending() };
  }

  /** Waits until every synchronous answer was given; rejects with the signal's reason. */
  async answered(signal: AbortSignal): Promise<void> {
    await this.service.waiting.given(signal);
  }

  #onChange(job: Job): void {
    if (!isTerminal(job.state) || job.spec.labels[GRYT_JOB_LABEL] === undefined) return;
    this.#judge();
    this.#wakeOutbox();
  }

  #readSettings(): GrytSettings {
    const { config, env, log } = this.#services;
    const of = config();
    if (this.#settings?.of !== of) {
      const settings = readGrytSettings({ config: of.of(GRYT), env });
      for (const problem of settings.problems) {
        log.error("The Gryt-compatible API is not set up right", { problem });
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

  /** Judges ended jobs, so that the metrics count also those whose client went away. */
  #judge(): void {
    if (this.#judging) return;
    this.#judging = true;
    const { tasks, store, clock, log } = this.#services;
    tasks.spawn("gryt judgements", async (signal) => {
      const { answerEnded } = await import("@lib/features/gryt/sync_answer.ts");
      try {
        for (;;) {
          const ended = this.service.ledger.unjudged(JUDGE_AT_ONCE);
          if (ended.length === 0) return;
          try {
            for (const jobId of ended) {
              const grytId = this.service.ledger.grytIdOf(jobId) ?? 0;
              const job = store.require(jobId);
              await answerEnded(this.#services, this.service, { job, grytId, signal });
            }
          } catch (error) {
            signal.throwIfAborted();
            log.error("Cannot judge a job; trying again", { error });
            await clock.sleep(JUDGE_AGAIN_MS, { signal });
          }
        }
      } finally {
        this.#judging = false;
      }
    });
  }

  #wakeOutbox(): void {
    if (this.#outbox !== undefined) return this.#outbox.wake();
    if (this.service.outbox.nextAt() === undefined) return;
    const { tasks, store, clock, log } = this.#services;
    tasks.spawn("gryt outbox", async (signal) => {
      const { Outbox } = await import("@lib/features/gryt/outbox.ts");
      const { answerEnded } = await import("@lib/features/gryt/sync_answer.ts");
      if (this.#outbox !== undefined) return this.#outbox.wake();
      this.#outbox = new Outbox({
        store: this.service.outbox,
        settings: this.service.settings,
        answerOf: ({ jobId, grytId }, stop) =>
          answerEnded(this.#services, this.service, {
            job: store.require(jobId),
            grytId,
            signal: stop,
          }),
        send,
        publicAddressCheck: async () => {
          const { publicAddressCheck } = await import("@lib/features/gryt/public_address.ts");
          return await publicAddressCheck();
        },
        clock,
        log,
      });
      await this.#outbox.run(signal);
    });
  }

  #pull(): void {
    this.#pulling = true;
    const services = this.#services;
    const { tasks, store, clock, log } = services;
    const load = async () => {
      const pull = await import("@lib/features/gryt/pull.ts");
      const { takeGrytJob } = await import("@lib/features/gryt/submit.ts");
      const { cancelGrytJob } = await import("@lib/features/gryt/find_job.ts");
      const options: Parameters<typeof pull.pullJobs>[0] = {
        settings: this.service.settings,
        agent: Deno.hostname(),
        room: () => this.#room(),
        accept: (request, pulled) => {
          const taken = takeGrytJob(services, service, { request, pulled });
          // The job may have ended in an earlier life.
          this.#wakeOutbox();
          return Promise.resolve(taken.kind === "taken" ? { kind: "accepted" } : taken);
        },
        leased: () => service.ledger.leased(),
        cancel: (jobId) => cancelGrytJob(services, store.require(jobId), "by the main API"),
        send,
        clock,
        log,
      };
      return { pull, options };
    };
    const { service } = this;
    tasks.spawn("gryt pull", async (signal) => {
      const { pull, options } = await load();
      await pull.pullJobs(options, signal);
    });
    tasks.spawn("gryt leases", async (signal) => {
      const { pull, options } = await load();
      await pull.keepLeases(options, signal);
    });
  }

  /** Jobs that could begin now; what would have to wait is left to other agents. */
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
