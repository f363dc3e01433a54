/**
 * Measures one example: the first job, and then rounds of a job and the same by hand, in turn.
 *
 * @module
 */
import { createRepository } from "../../tests/support/git_repository.ts";
import type { CacheExample } from "./examples.ts";
import { type CacheProject, edited, projectFiles } from "./projects.ts";
import type { CacheStage, Place } from "./stage.ts";

/** The times of an example in one place, in milliseconds. */
export interface Times {
  /** The first job of a project. */
  readonly coldMs: number;
  /** Of each round. */
  readonly warmMs: readonly number[];
  readonly byHandMs: readonly number[];
}

/** The figures of an example. */
export interface Row {
  readonly example: CacheExample;
  readonly times: Readonly<Partial<Record<Place, Times>>>;
  /** The size of the cache, unpacked, such as `48.2M`. */
  readonly size: string;
}

/** Options for {@linkcode measureExample}. */
export interface MeasureOptions {
  readonly stage: CacheStage;
  readonly places: readonly Place[];
  readonly rounds: number;
  readonly progress: (line: string) => void;
}

/**
 * Measures an example. Each round is a commit that changes one file of the project.
 *
 * @throws {Error} If a job fails or a later one restores nothing.
 */
export async function measureExample(
  example: CacheExample,
  project: CacheProject,
  { stage, places, rounds, progress }: MeasureOptions,
): Promise<Row> {
  const files = await projectFiles(project);
  const path = `${stage.directory}/repositories/${project.name}.git`;
  await Deno.mkdir(`${stage.directory}/repositories`, { recursive: true });
  const repository = await createRepository(path, { url: `file://${path}`, sha256: false });
  const times: Partial<Record<Place, Times>> = {};
  let size = "";
  for (const place of places) {
    const warmMs: number[] = [];
    const byHandMs: number[] = [];
    let coldMs = 0;
    for (let round = 0; round <= rounds; round++) {
      const sha = await repository.commit({ files: edited(files, project, round) });
      const work = { example, place, repository: { url: repository.url, sha } };
      const job = async () => {
        const { ms, log } = await stage.job(work);
        if (round === 0) coldMs = ms;
        else {
          size = /restored (\S+) into/.exec(log)?.[1] ?? "";
          if (size === "") throw new Error(`${example.place} restores nothing: ${log}`);
          if (Deno.env.has("BENCH_LOGS")) progress(log);
          warmMs.push(ms);
        }
        return ms;
      };
      const hand = async () => {
        const ms = await stage.byHand(work);
        if (round > 0) byHandMs.push(ms);
        return ms;
      };
      // Who goes first has the page cache against him; the turns make up for it.
      const inOrder = round % 2 === 0;
      const first = await (inOrder ? job() : hand());
      const second = await (inOrder ? hand() : job());
      const [jobMs, handMs] = inOrder ? [first, second] : [second, first];
      const text = [jobMs, handMs].map((ms) => `${(ms / 1_000).toFixed(2)} s`);
      progress(`${project.name}, ${place}, round ${round}: job ${text[0]}, by hand ${text[1]}`);
    }
    times[place] = { coldMs, warmMs, byHandMs };
  }
  return { example, times, size };
}

/** Returns the middle of some numbers. */
export function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  const [low = 0, high = low] = sorted.slice((sorted.length - 1) >> 1);
  return sorted.length % 2 === 1 ? low : (low + high) / 2;
}

/** Returns how much longer a job takes than the same by hand: the median of the rounds. */
export function ratioOf({ warmMs, byHandMs }: Times): number {
  return median(warmMs.map((ms, index) => ms / (byHandMs[index] ?? NaN)));
}
