/**
 * Traces a warm and a cold job from the first byte of the request to the exit code.
 *
 * @module
 */
import { systemClock } from "@lib/core/clock.ts";
import type { Machine } from "../../tests/support/machine.ts";
import { type Comparison, summarize } from "../report.ts";
import { findTimeline, MARKS, type Timeline, type TracedJob } from "./points.ts";
import { RawClient, requestBytes } from "./raw_client.ts";
import type { TraceEvent } from "./trace_events.ts";
import { Tracer } from "./tracer.ts";

/** Options for {@linkcode measureTimeline}. */
export interface TimelineOptions {
  /** A machine with the installed product. */
  readonly machine: Machine;
  readonly user: string;
  readonly quick: boolean;
  readonly say: (text: string) => void;
  readonly signal: AbortSignal;
}

/** The job with the median time of those that were traced. */
export interface MedianTimeline extends Timeline {
  readonly name: string;
  /** Medians from the first byte to the exit code, without and with the tracer. */
  readonly untracedUs: number;
  readonly tracedUs: number;
}

/** What a run of this row gives. */
export interface TimelineResult {
  readonly rows: readonly Comparison[];
  readonly timelines: readonly MedianTimeline[];
}

const PROJECT = "bench";
const LIBRARY = "/lib/x86_64-linux-gnu/libc.so.6";
/** `echo` is a shell's own: the job has no child. */
const COMMAND = ["/bin/sh", "-c", "echo"] as const;
/** As in the row `start`: for the kernel, a machine at rest. */
const REST_MS = 120;
/** A cold start follows a stop, whose traces are still being removed. */
const COLD_REST_MS = 500;

/** Measures jobs with and without the tracer in turns, warm ones and cold ones. */
export async function measureTimeline(options: TimelineOptions): Promise<TimelineResult> {
  const { machine, quick, say, signal } = options;
  await using tracer = await Tracer.open(machine.hostPath(LIBRARY));
  const stage = new TracedProduct(options, tracer);
  await stage.empty();
  // Code caches and the pages of all files, as after any earlier start since boot.
  await stage.cold(false);
  const kinds = [
    { name: "cold job", rounds: quick ? 2 : 9, measure: stage.cold },
    { name: "warm job", rounds: quick ? 4 : 25, measure: stage.warm },
  ];
  const results: [Comparison, MedianTimeline][] = [];
  for (const { name, rounds, measure } of kinds) {
    const untraced: number[] = [];
    const traced: Measured[] = [];
    for (let round = 0; round < rounds; round++) {
      signal.throwIfAborted();
      untraced.push((await measure(false)).us);
      traced.push(await measure(true));
    }
    say(`${name}: ${rounds} rounds`);
    results.unshift(summarized(name, untraced, traced));
  }
  return { rows: results.map(([row]) => row), timelines: results.map(([, line]) => line) };
}

function summarized(
  name: string,
  untraced: readonly number[],
  traced: readonly Measured[],
): [Comparison, MedianTimeline] {
  const totals = traced.map(({ us }) => us);
  const tracedUs = summarize(totals).median;
  const away = ({ us, timeline }: Measured) =>
    [timeline?.missing.length ?? Infinity, Math.abs(us - tracedUs)] as const;
  const middle = traced.toSorted((a, b) => away(a)[0] - away(b)[0] || away(a)[1] - away(b)[1]);
  const timeline = middle[0]?.timeline ?? { points: [], missing: ["everything"] };
  const ms = (samples: readonly number[]) => samples.map((us) => us / 1_000);
  return [{
    name: `${name}, first byte → exit code`,
    unit: "ms",
    better: "lower",
    ours: { name: "POST, then GET …/wait on the same connection", samples: ms(untraced) },
    peers: [{ name: "ours with the kernel's tracer", samples: ms(totals) }],
    notes: ["the ratio is the price of the tracer"],
  }, { name, untracedUs: summarize(untraced).median, tracedUs, ...timeline }];
}

interface Measured {
  readonly us: number;
  readonly timeline: Timeline | undefined;
}

/** The product, its clients and the tracer. */
class TracedProduct {
  readonly #options: TimelineOptions;
  readonly #tracer: Tracer;

  constructor(options: TimelineOptions, tracer: Tracer) {
    this.#options = options;
    this.#tracer = tracer;
  }

  /** A job while both programs wait for one, on a kept connection. */
  readonly warm = async (isTraced: boolean): Promise<Measured> => {
    using client = await this.#connect();
    await client.send(requestBytes("GET", "/v1/jobs?limit=1"));
    await systemClock.sleep(REST_MS, { signal: this.#options.signal });
    return await this.#measure({ isTraced, isCold: false }, () => Promise.resolve(client));
  };

  /** A job while neither program runs. */
  readonly cold = async (isTraced: boolean): Promise<Measured> => {
    await this.#stop();
    await systemClock.sleep(COLD_REST_MS, { signal: this.#options.signal });
    return await this.#measure({ isTraced, isCold: true }, () => this.#connect());
  };

  /** Removes what earlier rows left, queued jobs among it. */
  async empty(): Promise<void> {
    const { user, machine } = this.#options;
    await this.#stop();
    await machine.run(["sh", "-c", 'rm -rf "$HOME"/.local/state/cicd-toolkit/*'], { user });
  }

  async #stop(): Promise<void> {
    const { user, machine } = this.#options;
    const units = ["cicd-runner.service", "cicd-agent@*.service", "cicd.slice"];
    await machine.run(["systemctl", "--user", "stop", ...units], { user });
    await machine.run(["systemctl", "--user", "reset-failed"], { user });
  }

  #connect(): Promise<RawClient> {
    const { machine, user } = this.#options;
    return RawClient.open(
      machine.hostPath(`/run/user/${machine.account(user).uid}/cicd-runner.sock`),
    );
  }

  async #measure(
    { isTraced, isCold }: { readonly isTraced: boolean; readonly isCold: boolean },
    connect: () => Promise<RawClient>,
  ): Promise<Measured> {
    const request = requestBytes("POST", "/v1/jobs", { project: PROJECT, command: COMMAND });
    if (isTraced) await this.#tracer.start(await this.#tids());
    let events: readonly TraceEvent[] = [];
    let client: RawClient;
    let us: number;
    let jobId: string;
    try {
      const begun = performance.now();
      if (isTraced) this.#tracer.mark(MARKS.request);
      client = await connect();
      const accepted = await client.send(request);
      if (isTraced) this.#tracer.mark(MARKS.accepted);
      jobId = String(Reflect.get(Object(accepted.body), "id"));
      const path = `/v1/jobs/${jobId}/wait?timeout=60s`;
      const ended = await client.send(requestBytes("GET", path));
      if (isTraced) this.#tracer.mark(MARKS.ended);
      us = (performance.now() - begun) * 1_000;
      const code: unknown = Reflect.get(Object(ended.body), "exit_code");
      if (code !== 0) throw new Error(`The job has exit code ${String(code)}`);
    } finally {
      if (isTraced) events = await this.#tracer.stop();
    }
    using _ = isCold ? client : undefined;
    if (!isTraced) return { us, timeline: undefined };
    const threads = {
      runner: new Set(await this.#threads(RUNNER)),
      agent: new Set(await this.#threads(AGENT)),
      systemd: new Set(await this.#threads(MANAGER)),
    };
    const job: TracedJob = { events, jobId, requestBytes: request.length, threads, isCold };
    return { us, timeline: findTimeline(job) };
  }

  /** Threads of all that is alive and takes part. */
  async #tids(): Promise<readonly number[]> {
    return (await Promise.all([RUNNER, AGENT, MANAGER].map((group) => this.#threads(group))))
      .flat();
  }

  /** Threads in a control group below the user's manager, as the host numbers them. */
  async #threads(group: string): Promise<readonly number[]> {
    const { machine, user } = this.#options;
    const { uid } = machine.account(user);
    const manager = `user.slice/user-${uid}.slice/user@${uid}.service`;
    for (const top of ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"]) {
      const path = machine.hostPath(`${top}/${manager}/${group}/cgroup.threads`);
      try {
        return (await Deno.readTextFile(path)).split("\n").filter(Boolean).map(Number);
      } catch (error) {
        if (!(error instanceof Deno.errors.NotFound)) throw error;
      }
    }
    return [];
  }
}

const RUNNER = "app.slice/cicd-runner.service";
const AGENT = `app.slice/app-cicd\\x2dagent.slice/cicd-agent@${PROJECT}.service`;
const MANAGER = "init.scope";
