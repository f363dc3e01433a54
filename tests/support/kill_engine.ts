/**
 * The kill suite: SIGKILL for the suite's own processes while jobs come and go,
 * and afterwards the reckoning, that every accepted job ran exactly once, with
 * its own exit code and a whole log.
 *
 * The jobs themselves keep the ledger: each appends a line when it begins and
 * one when it ends, whatever the suite believes.
 *
 * @module
 */
import { setImmediate } from "node:timers";
import { ignore, messageOf } from "@lib/core/errors.ts";
import { killProcess } from "./machine_host.ts";
import { type Moment, type PlannedJob, planRound, type Round, type Victim } from "./kill_plan.ts";
import { bootSuite, type JobSeen, parseJob, type SuiteInMachine } from "./suite_in_machine.ts";

/** Options for {@linkcode runKills}. */
export interface KillOptions {
  readonly kills: number;
  readonly seed: number;
  /** Called after each round. */
  readonly onRound?: (round: string, tookMs: number, state: KillReport) => void;
  readonly signal: AbortSignal;
}

/** What is counted for one victim at one moment. */
export interface KillCount {
  readonly victim: Victim;
  readonly moment: Moment;
  readonly kills: number;
  readonly jobs: number;
}

/** What came of all kills. */
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
  /** What is wrong, in words. */
  readonly problems: readonly string[];
}

const LEDGER = "/home/dev/ledger";
/** How long the suite may take to be back, and a job to end. */
const DEADLINE_MS = 30_000;

const UNLIMITED = "[Unit]\nStartLimitIntervalSec=0\n";
/** The restarts are what is tested, not how long systemd waits before them, nor when it gives up. */
const PATIENT = `${UNLIMITED}[Service]\nRestartSec=50ms\n`;
const DROP_INS = {
  "cicd-runner.service": PATIENT,
  "cicd-runner.socket": UNLIMITED,
  "cicd-agent@.service": PATIENT,
  "cicd-agent@.socket": UNLIMITED,
  "dbus.service": UNLIMITED,
  "dbus.socket": UNLIMITED,
};

/** Boots a machine and kills until the number is reached. */
export async function runKills(options: KillOptions): Promise<KillReport> {
  await using suite = await bootSuite({
    dropIns: DROP_INS,
    signal: options.signal,
  });
  const reckoning = new Reckoning();
  const killer = new Killer(suite, options.signal);
  for (let number = 0; reckoning.report().kills < options.kills; number++) {
    const round = planRound(options.seed, number);
    const begun = performance.now();
    await runRound(suite, killer, { round, seed: options.seed, reckoning });
    options.onRound?.(nameOf(round), performance.now() - begun, reckoning.report());
  }
  await checkRecord(suite, reckoning);
  return reckoning.report();
}

interface Submission {
  readonly plan: PlannedJob;
  readonly key: string;
}

async function runRound(
  suite: SuiteInMachine,
  killer: Killer,
  { round, seed, reckoning }: {
    readonly round: Round;
    readonly seed: number;
    readonly reckoning: Reckoning;
  },
): Promise<void> {
  const submissions = round.jobs.map((plan, index): Submission => ({
    plan,
    key: `${seed}-${round.number}-${index}`,
  }));
  const projects = submissions.map(({ plan }) => plan.project);
  const ledgerSize = (await suite.read(LEDGER))?.length ?? 0;
  const answers = Promise.all(submissions.map((one) => submit(suite, one)));
  const aimed = performance.now();
  try {
    await aim(suite, killer, { round, projects, since: aimed, ledgerSize });
    const kills = await killer.kill(round.victim, projects);
    if (round.victim === "manager") await killer.startManager();
    const jobs = await answers;
    reckoning.count(round, kills, jobs.length);
    for (const [index, { id }] of jobs.entries()) {
      const submission = submissions[index];
      if (submission === undefined) continue;
      await settle(suite, id, { submission, round, reckoning });
    }
  } catch (error) {
    reckoning.add("lost", `${nameOf(round)}: ${messageOf(error)}`);
  } finally {
    await answers.catch(ignore("told above"));
  }
}

/** Submits until there is an answer; the key makes it one job. */
async function submit(suite: SuiteInMachine, { plan, key }: Submission): Promise<JobSeen> {
  const body = { project: plan.project, script: scriptOf(plan, key) };
  return await suite.machine.waitFor(`an answer to submission ${key}`, async () => {
    const headers = { "idempotency-key": key };
    const { status, text } = await suite.ask("POST", "/v1/jobs", { body, headers });
    if (status === 201 || status === 200) return parseJob(text);
    throw new Error(`the answer is ${status}: ${text}`);
  }, { timeoutMs: DEADLINE_MS });
}

/** Waits for the moment of the kill. */
async function aim(
  suite: SuiteInMachine,
  killer: Killer,
  { round, projects, since, ledgerSize }: {
    readonly round: Round;
    readonly projects: readonly string[];
    readonly since: number;
    readonly ledgerSize: number;
  },
): Promise<void> {
  let from = since;
  if (round.moment === "running" || round.moment === "end") {
    await suite.machine.waitFor(
      "a job to begin",
      async () => ((await suite.read(LEDGER))?.length ?? 0) > ledgerSize,
      { timeoutMs: DEADLINE_MS },
    );
    from = performance.now();
  } else if (round.moment === "recovery" && round.victim === "manager") {
    await killer.kill("manager", projects);
    await killer.startManager("--no-block");
    from = performance.now();
  } else if (round.moment === "recovery") {
    const before = await killer.pids(round.victim, projects);
    await killer.kill(round.victim, projects);
    from = performance.now();
    // Killed again while it starts; what nobody needs does not come back.
    await suite.machine.waitFor("a new life", async () => {
      const pids = await killer.pids(round.victim, projects);
      return pids.some((pid) => !before.includes(pid)) || performance.now() - from > 300;
    });
    from = performance.now();
  }
  // A timer is too coarse for the start of a job; requests go on meanwhile.
  while (performance.now() - from < round.delayMs) {
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
}

/** Judges one job by its end, its log and the ledger. */
async function settle(
  suite: SuiteInMachine,
  id: string,
  { submission: { plan, key }, round, reckoning }: {
    readonly submission: Submission;
    readonly round: Round;
    readonly reckoning: Reckoning;
  },
): Promise<void> {
  const what = `job ${id} (${key}, ${nameOf(round)})`;
  const job = await endOf(suite, id);
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

async function endOf(suite: SuiteInMachine, id: string): Promise<JobSeen | undefined> {
  const deadline = performance.now() + DEADLINE_MS;
  return await suite.machine.waitFor(`the end of job ${id}`, async () => {
    const path = `/v1/jobs/${id}/wait?timeout=${DEADLINE_MS / 1_000}s`;
    const { status, text } = await suite.ask("GET", path, { timeoutMs: DEADLINE_MS });
    if (status === 200) return parseJob(text);
    throw new Error(`the answer is ${status}`);
  }, { timeoutMs: Math.max(1, deadline - performance.now()) }).catch(() => undefined);
}

/** Looks for jobs that nobody submitted, and for jobs left open. */
async function checkRecord(suite: SuiteInMachine, reckoning: Reckoning): Promise<void> {
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

function scriptOf({ lines, pauses, pauseMs, exitCode }: PlannedJob, key: string): string {
  const every = pauses === 0 ? 0 : Math.ceil(lines / (pauses + 1));
  const pause = every === 0 ? "" : `[ $((i % ${every})) -ne 0 ] || sleep ${pauseMs / 1_000}`;
  return [
    `echo "begin $CICD_ATTEMPT $CICD_JOB_ID" >>${LEDGER}`,
    "i=0",
    `while [ $i -lt ${lines} ]; do`,
    "i=$((i + 1))",
    `echo "line $i of ${key}"`,
    pause,
    "done",
    `echo "end $CICD_ATTEMPT $CICD_JOB_ID" >>${LEDGER}`,
    `exit ${exitCode}`,
  ].join("\n");
}

function logOf({ lines }: PlannedJob, key: string): string {
  return Array.from({ length: lines }, (_, index) => `line ${index + 1} of ${key}\n`).join("");
}

function nameOf({ number, victim, moment, delayMs }: Round): string {
  return `round ${number}: ${victim} at ${moment} + ${delayMs.toFixed(2)} ms`;
}

/** Finds the victims and kills them. */
class Killer {
  readonly #suite: SuiteInMachine;
  readonly #signal: AbortSignal;

  constructor(suite: SuiteInMachine, signal: AbortSignal) {
    this.#suite = suite;
    this.#signal = signal;
  }

  /** Main processes of a victim, as the host numbers them. */
  async pids(victim: Victim, projects: readonly string[]): Promise<readonly number[]> {
    const agents = [...new Set(projects)].map((project) =>
      `app.slice/app-cicd\\x2dagent.slice/cicd-agent@${project}.service`
    );
    const groups = {
      runner: ["app.slice/cicd-runner.service"],
      agent: agents,
      both: ["app.slice/cicd-runner.service", ...agents],
      bus: ["session.slice/dbus.service"],
      manager: ["init.scope"],
    }[victim];
    return (await Promise.all(groups.map((group) => this.#suite.pidsOf(group)))).flat();
  }

  /** @returns Whether there was anyone to kill. */
  async kill(victim: Victim, projects: readonly string[]): Promise<boolean> {
    this.#signal.throwIfAborted();
    const pids = await this.pids(victim, projects);
    if (victim === "manager") {
      await this.#suite.machine.run(["systemctl", "kill", "--signal=KILL", "user@1000.service"]);
    } else {
      for (const pid of pids) killProcess(pid, "SIGKILL");
    }
    return pids.length > 0;
  }

  /** Starts the user's manager again once the killed one is gone. */
  async startManager(...options: readonly string[]): Promise<void> {
    const { machine } = this.#suite;
    await machine.waitFor("the end of the user's manager", async () => {
      const { stdout } = await machine.exec(["systemctl", "is-active", "user@1000.service"]);
      return /^(failed|inactive)/.test(stdout);
    });
    await machine.run(["systemctl", "start", ...options, "user@1000.service"]);
  }
}

type Fault = "lost" | "doubled" | "brokenLogs" | "wrongExitCodes";

/** Adds everything up. */
class Reckoning {
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
