/**
 * What came of the kills: every accepted job is judged by its end, its log and
 * the ledger.
 *
 * @module
 */
import {
  LEDGER,
  logOf,
  type Moment,
  nameOf,
  type PlannedJob,
  type Round,
  type Victim,
} from "./kill_plan.ts";
import { type JobSeen, parseJob, type SuiteInMachine } from "./suite_in_machine.ts";

/** Counts for one victim at one moment. */
export interface KillCount {
  readonly victim: Victim;
  readonly moment: Moment;
  readonly kills: number;
  readonly jobs: number;
}

/** The result of all kills. */
export interface KillReport {
  readonly kills: number;
  readonly counts: readonly KillCount[];
  readonly jobs: number;
  /** Not settled, or settled as lost though only our own processes were killed. */
  readonly lost: number;
  /** Begun more than once, or stored more than once for one submission. */
  readonly doubled: number;
  readonly brokenLogs: number;
  readonly wrongExitCodes: number;
  /** Jobs that went down with the whole user manager, which killed their own processes too. */
  readonly downWithManager: number;
  /** Problems as text. */
  readonly problems: readonly string[];
}

/** Time limit for a job to end. */
const DEADLINE_MS = 30_000;
/**
 * The same after the bus was killed. systemd 252 asks the bus something before it has noticed the
 * bus's end, and until that times out after 90 seconds the whole user manager stands still.
 */
export const BUS_DEADLINE_MS = 150_000;

type Fault = "lost" | "doubled" | "brokenLogs" | "wrongExitCodes";

/** Adds everything up. */
export class Reckoning {
  readonly #counts = new Map<
    string,
    { victim: Victim; moment: Moment; kills: number; jobs: number }
  >();
  readonly #sums = {
    kills: 0,
    jobs: 0,
    lost: 0,
    doubled: 0,
    brokenLogs: 0,
    wrongExitCodes: 0,
    downWithManager: 0,
  };
  readonly #problems: string[] = [];

  count({ victim, moment }: Round, killed: boolean, jobs: number): void {
    const key = `${victim}/${moment}`;
    const count = this.#counts.get(key) ?? { victim, moment, kills: 0, jobs: 0 };
    count.kills += killed ? 1 : 0;
    count.jobs += jobs;
    this.#counts.set(key, count);
    this.#sums.kills += killed ? 1 : 0;
    this.#sums.jobs += jobs;
  }

  add(what: Fault | "downWithManager", problem?: string): void {
    this.#sums[what]++;
    if (problem !== undefined) this.#problems.push(problem);
  }

  report(): KillReport {
    return { ...this.#sums, counts: [...this.#counts.values()], problems: this.#problems };
  }
}

/** A job as it was submitted. */
export interface Submission {
  readonly plan: PlannedJob;
  readonly key: string;
}

/** Judges one job by its end, its log and the ledger. */
export async function settle(
  suite: SuiteInMachine,
  id: string,
  { submission: { plan, key }, round, reckoning }: {
    readonly submission: Submission;
    readonly round: Round;
    readonly reckoning: Reckoning;
  },
): Promise<void> {
  const what = `job ${id} (${key}, ${nameOf(round)})`;
  const job = await endOf(suite, id, round.victim === "bus" ? BUS_DEADLINE_MS : DEADLINE_MS);
  if (job === undefined) {
    const seen = await suite.job(id);
    return reckoning.add("lost", `${what} has not ended: it is ${seen.state}`);
  }
  const log = await suite.machine.waitFor(
    `the log of ${what}`,
    async () => await suite.log(id) + "$",
  );
  const expected = logOf(plan, key);
  const ran = (await suite.read(LEDGER) ?? "").split("\n").filter((line) =>
    line.endsWith(` ${id}`)
  );
  const begun = ran.filter((line) => line.startsWith("begin ")).length;
  if (begun > 1) reckoning.add("doubled", `${what} was begun ${begun} times`);
  // Also after its own last line: the manager was to write down how it ended.
  const wentDown = round.victim === "manager" &&
    (job.state === "lost" || job.signal === "SIGKILL");
  if (wentDown) {
    reckoning.add("downWithManager");
    if (!expected.startsWith(log.slice(0, -1))) {
      reckoning.add("brokenLogs", `${what} has a log that is no beginning of its output`);
    }
    return;
  }
  const told = `${job.state}, exit code ${job.exit_code}, "${job.message}"`;
  if (begun === 0) reckoning.add("lost", `${what} never ran: ${told}`);
  else if (job.state === "lost") reckoning.add("lost", `${what} was settled as lost: ${told}`);
  else if (job.exit_code !== plan.exitCode) {
    reckoning.add("wrongExitCodes", `${what} exited with ${plan.exitCode}, not: ${told}`);
  }
  if (log !== `${expected}$`) {
    reckoning.add(
      "brokenLogs",
      `${what} has ${log.length - 1} bytes of log in place of ${expected.length}; ${told}`,
    );
  }
}

async function endOf(
  suite: SuiteInMachine,
  id: string,
  timeoutMs: number,
): Promise<JobSeen | undefined> {
  return await suite.machine.waitFor(`the end of job ${id}`, async () => {
    const { status, text } = await suite.ask("GET", `/v1/jobs/${id}/wait?timeout=10s`);
    if (status === 200) return parseJob(text);
    throw new Error(`the answer is ${status}`);
  }, { timeoutMs }).catch(() => undefined);
}

/** Looks for jobs that nobody submitted, and for jobs left open. */
export async function checkRecord(suite: SuiteInMachine, reckoning: Reckoning): Promise<void> {
  let stored = 0;
  for (let cursor = "";;) {
    const page = cursor === "" ? "" : `&cursor=${cursor}`;
    const { text } = await suite.ask("GET", `/v1/jobs?limit=500${page}`);
    const { jobs, next_cursor } = JSON.parse(text) as {
      readonly jobs: readonly JobSeen[];
      readonly next_cursor: string | null;
    };
    stored += jobs.length;
    if (next_cursor === null) break;
    cursor = next_cursor;
  }
  const { jobs } = reckoning.report();
  if (stored !== jobs) {
    reckoning.add("doubled", `${stored} jobs are on record for ${jobs} submissions`);
  }
}
