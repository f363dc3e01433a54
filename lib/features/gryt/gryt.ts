/**
 * Joins the parts behind the Gryt-compatible API.
 *
 * What only its users need, the outbox, the pulling, requests to others, is
 * loaded when the first of them shows up.
 *
 * @module
 */
import type { ApiPorts } from "@lib/api/ports.ts";
import type { Clock } from "@lib/core/clock.ts";
import { CicdError, messageOf } from "@lib/core/errors.ts";
import type { Logger } from "@lib/core/logger.ts";
import type { TaskGroup } from "@lib/core/task_group.ts";
import { AgentsFront } from "@lib/features/gryt/agents_front.ts";
import { EngineWatch } from "@lib/features/gryt/engine_watch.ts";
import { GRYT_JOB_LABEL } from "@lib/features/gryt/job_spec.ts";
import { GrytLedger } from "@lib/features/gryt/ledger.ts";
import type { Outbox } from "@lib/features/gryt/outbox.ts";
import { OutboxStore } from "@lib/features/gryt/outbox_store.ts";
import type { SendRequest } from "@lib/features/gryt/outgoing.ts";
import type { GrytService } from "@lib/features/gryt/service.ts";
import { type GrytSettings, readGrytSettings } from "@lib/features/gryt/settings.ts";
import { WaitingAnswers } from "@lib/features/gryt/waiting_answers.ts";
import { isTerminal, type Job } from "@lib/spine/jobs/model.ts";
import type { Database } from "@lib/foundations/store/database.ts";
import type { ConfigHolder } from "../../../cmd/runner/config_holder.ts";

/** What {@linkcode Gryt} works with. */
export interface GrytOptions {
  readonly db: Database;
  readonly config: ConfigHolder;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  readonly log: Logger;
}

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
export class Gryt {
  readonly service: GrytService;
  readonly #options: GrytOptions;
  #settings: { readonly of: object; readonly settings: GrytSettings } | undefined;
  #started: { readonly ports: ApiPorts; readonly tasks: TaskGroup } | undefined;
  #outbox: Outbox | undefined;
  #judging = false;
  #pulling = false;

  constructor(options: GrytOptions) {
    const { db, clock } = options;
    this.#options = options;
    this.service = {
      settings: () => this.#readSettings(),
      engine: new EngineWatch({ ping: () => this.#pingEngine(), clock }),
      ledger: new GrytLedger(db),
      outbox: new OutboxStore(db),
      front: new AgentsFront({ send, clock }),
      waiting: new WaitingAnswers(),
    };
  }

  /** Takes up what an earlier life left; disposing the result ends the hearing of changes. */
  start(ports: ApiPorts, tasks: TaskGroup): Disposable {
    this.#started = { ports, tasks };
    this.#judge();
    this.#wakeOutbox();
    this.reconfigured();
    return ports.events.listen((job) => this.#onChange(job));
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
    const { config, env, log } = this.#options;
    const of = config.current;
    if (this.#settings?.of !== of) {
      const settings = readGrytSettings({ config: of.gryt, env });
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
      const { host } = this.#options.config.current.containers;
      const address = findEngine({ host, env: this.#options.env });
      await pingEngine(address, { signal: new AbortController().signal });
      return undefined;
    } catch (error) {
      if (error instanceof CicdError) return messageOf(error);
      throw error;
    }
  }

  /** Judges ended jobs, so that the metrics count also those whose client went away. */
  #judge(): void {
    const started = this.#started;
    if (started === undefined || this.#judging) return;
    this.#judging = true;
    started.tasks.spawn("gryt judgements", async (signal) => {
      const { answerEnded } = await import("@lib/features/gryt/sync_answer.ts");
      const { ports } = started;
      try {
        for (;;) {
          const ended = this.service.ledger.unjudged(JUDGE_AT_ONCE);
          if (ended.length === 0) return;
          try {
            for (const jobId of ended) {
              const grytId = this.service.ledger.grytIdOf(jobId) ?? 0;
              const job = ports.store.require(jobId);
              await answerEnded(ports, this.service, { job, grytId, signal });
            }
          } catch (error) {
            signal.throwIfAborted();
            ports.log.error("Cannot judge a job; trying again", { error });
            await ports.clock.sleep(JUDGE_AGAIN_MS, { signal });
          }
        }
      } finally {
        this.#judging = false;
      }
    });
  }

  #wakeOutbox(): void {
    const started = this.#started;
    if (this.#outbox !== undefined) return this.#outbox.wake();
    if (started === undefined || this.service.outbox.nextAt() === undefined) return;
    const { ports, tasks } = started;
    tasks.spawn("gryt outbox", async (signal) => {
      const { Outbox } = await import("@lib/features/gryt/outbox.ts");
      const { answerEnded } = await import("@lib/features/gryt/sync_answer.ts");
      if (this.#outbox !== undefined) return this.#outbox.wake();
      this.#outbox = new Outbox({
        store: this.service.outbox,
        settings: this.service.settings,
        answerOf: ({ jobId, grytId }, stop) =>
          answerEnded(ports, this.service, {
            job: ports.store.require(jobId),
            grytId,
            signal: stop,
          }),
        send,
        clock: ports.clock,
        log: ports.log,
      });
      await this.#outbox.run(signal);
    });
  }

  #pull(): void {
    const started = this.#started;
    if (started === undefined) return;
    this.#pulling = true;
    const { ports, tasks } = started;
    const load = async () => {
      const pull = await import("@lib/features/gryt/pull.ts");
      const { takeGrytJob } = await import("@lib/features/gryt/submit.ts");
      const { cancelGrytJob } = await import("@lib/features/gryt/find_job.ts");
      const options: Parameters<typeof pull.pullJobs>[0] = {
        settings: this.service.settings,
        agent: Deno.hostname(),
        room: () => this.#room(ports),
        accept: (request, pulled) => {
          const taken = takeGrytJob(ports, service, { request, pulled });
          // The job may have ended in an earlier life.
          this.#wakeOutbox();
          return Promise.resolve(taken.kind === "taken" ? { kind: "accepted" } : taken);
        },
        leased: () => service.ledger.leased(),
        cancel: (jobId) => cancelGrytJob(ports, ports.store.require(jobId), "by the main API"),
        send,
        clock: ports.clock,
        log: ports.log,
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
  async #room({ store, assertOpen, assertRoom, assertDisk, maxRunningOf, facts }: ApiPorts) {
    const { project } = this.service.settings();
    if (!await this.service.engine.available()) return 0;
    try {
      assertOpen(project);
      assertRoom();
      assertDisk();
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
