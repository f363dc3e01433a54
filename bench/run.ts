/**
 * A run: every benchmark for each build, in turns.
 *
 * @module
 */
import { messageOf } from "@lib/core/errors.ts";
import type { EngineStage } from "./engine/stage.ts";
import { type HostBanner, loadText, readMachine } from "./host.ts";
import type { Comparison } from "./report.ts";
import {
  isEngineRow,
  isHostRow,
  isMachineRow,
  ONLY_NOW,
  type RowName,
  TIMELINE_ROW_NAME,
} from "./rows.ts";
import { BENCH_USER, Stage } from "./stage.ts";
import type { MedianTimeline } from "./timeline/timeline_row.ts";

/** Options for {@linkcode runBenchmarks}. */
export interface RunOptions {
  readonly names: readonly RowName[];
  readonly quick: boolean;
  /** The build to be measured. */
  readonly now: string;
  /** An earlier build, measured before this one at each row. */
  readonly before: string | undefined;
  /** The bundle of `bench/driver/main.ts`; needed by rows in a machine. */
  readonly driver: string;
  /** The directory of wetty, if it is wanted and could be had. */
  readonly wetty: string | undefined;
  readonly scratch: string;
  readonly progress: (text: string) => void;
  readonly signal: AbortSignal;
}

/** What a run gives. */
export interface RunResult {
  /** Facts that only the stages know. */
  readonly host: HostBanner;
  readonly rows: readonly Comparison[];
  readonly before: readonly Comparison[];
  readonly timelines: readonly MedianTimeline[];
  /** Rows without a result, with the reason. */
  readonly skipped: readonly string[];
  /** How many of them should have one. */
  readonly failed: number;
  readonly seconds: Readonly<Record<string, number>>;
}

interface Build {
  readonly isNow: boolean;
  readonly dist: string;
}

/** Measures the builds; a row that cannot be measured does not end the run. */
export async function runBenchmarks(options: RunOptions): Promise<RunResult> {
  const run = new Run(options);
  await run.inMachines();
  await run.besideEngines();
  await run.onHost();
  return run.result();
}

class Run {
  readonly #options: RunOptions;
  readonly #builds: readonly Build[];
  #host: HostBanner = {};
  readonly #rows: Comparison[] = [];
  readonly #before: Comparison[] = [];
  readonly #timelines: MedianTimeline[] = [];
  readonly #skipped: string[] = [];
  #failed = 0;
  readonly #seconds: Record<string, number> = {};

  constructor(options: RunOptions) {
    const { now, before } = options;
    this.#options = options;
    this.#builds = [
      ...(before === undefined ? [] : [{ isNow: false, dist: before }]),
      { isNow: true, dist: now },
    ];
  }

  result(): RunResult {
    return {
      host: this.#host,
      rows: this.#rows,
      before: this.#before,
      timelines: this.#timelines,
      skipped: this.#skipped,
      failed: this.#failed,
      seconds: this.#seconds,
    };
  }

  /** Each build has a machine of its own; one rests while the other is measured. */
  async inMachines(): Promise<void> {
    const { names, quick, signal } = this.#options;
    const wanted = names.filter((name) => isMachineRow(name) || name === TIMELINE_ROW_NAME);
    if (wanted.length === 0) return;
    await using stages = new AsyncDisposableStack();
    const stageOf = new Map<Build, Stage>();
    for (const build of this.#builds) {
      const { dist } = build;
      const stage = stages.use(await Stage.open({ ...this.#options, dist }));
      this.#host = { ...this.#host, ...await readMachine(stage.machine) };
      stageOf.set(build, stage);
    }
    await this.#measure(wanted, async (name, build, say) => {
      const stage = stageOf.get(build);
      if (stage === undefined) throw new Error("the build has no machine");
      if (name !== TIMELINE_ROW_NAME) return await stage.measure(name, { quick });
      const { measureTimeline } = await import("./timeline/timeline_row.ts");
      const { machine } = stage;
      const { rows, timelines } = await measureTimeline({
        machine,
        user: BENCH_USER,
        quick,
        say,
        signal,
      });
      this.#timelines.push(...timelines);
      return rows;
    });
  }

  /** Each build has an engine of its own. */
  async besideEngines(): Promise<void> {
    const { names, quick, scratch, progress, signal } = this.#options;
    const wanted = names.filter(isEngineRow);
    if (wanted.length === 0) return;
    progress("container engine");
    const { ENGINE_ROWS } = await import("./engine/rows.ts");
    const { EngineStage } = await import("./engine/stage.ts");
    await using stages = new AsyncDisposableStack();
    const stageOf = new Map<Build, EngineStage>();
    for (const build of this.#builds) {
      const { dist } = build;
      const stage = stages.use(await EngineStage.open({ dist, scratch, signal }));
      this.#host = { ...this.#host, engine: await stage.describe(signal) };
      stageOf.set(build, stage);
    }
    await this.#measure(wanted, async (name, build, say) => {
      const stage = stageOf.get(build);
      if (stage === undefined) throw new Error("the build has no engine");
      const { image } = stage;
      return await ENGINE_ROWS[name]({ stage, image, quick, say, signal });
    });
  }

  async onHost(): Promise<void> {
    const { names, quick, scratch, signal } = this.#options;
    await this.#measure(names.filter(isHostRow), async (name, { dist }, say) => {
      if (name === "pick") {
        const { measurePick } = await import("./pick_row.ts");
        return await measurePick({ scratch, quick, say });
      }
      if (name === "direct") {
        const { measureDirect } = await import("./direct_row.ts");
        return await measureDirect({ dist, scratch, quick, say, signal });
      }
      if (name === "host") {
        const { measureHost } = await import("./host_row.ts");
        return await measureHost({ scratch, quick, say });
      }
      const { measureLoop, productDaemon } = await import("./loop/loop_row.ts");
      const daemon = await productDaemon(dist);
      return await measureLoop({ daemon, scratch, quick, say, signal });
    });
  }

  /** Takes the rows one by one, and for each of them the builds in turns. */
  async #measure<Name extends RowName>(
    names: readonly Name[],
    row: (
      name: Name,
      build: Build,
      say: (text: string) => void,
    ) => Promise<readonly Comparison[]>,
  ): Promise<void> {
    const { progress, signal } = this.#options;
    for (const name of names) {
      const begun = performance.now();
      for (const build of this.#builds) {
        const label = build.isNow ? name : `${name} before`;
        const why = build.isNow ? undefined : ONLY_NOW[name];
        if (why !== undefined) {
          this.#skipped.push(`${label}: ${why}`);
          continue;
        }
        progress(`${label} (load ${loadText()})`);
        try {
          const measured = await row(name, build, (text) => progress(`  ${label}: ${text}`));
          (build.isNow ? this.#rows : this.#before).push(...measured);
        } catch (error) {
          signal.throwIfAborted();
          progress(messageOf(error));
          this.#failed++;
          this.#skipped.push(`${label}: ${messageOf(error).split("\n", 1)[0]}`);
        }
      }
      this.#seconds[name] = Math.round((performance.now() - begun) / 1_000);
    }
  }
}
