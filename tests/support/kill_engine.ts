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
import { LEDGER, nameOf, planRound, type Round, scriptOf, type Victim } from "./kill_plan.ts";
import {
  BUS_DEADLINE_MS,
  checkRecord,
  type KillReport,
  Reckoning,
  settle,
  type Submission,
} from "./kill_reckoning.ts";
import { Killer } from "./kill_victims.ts";
import { bootSuite, type JobSeen, parseJob, type SuiteInMachine } from "./suite_in_machine.ts";

export type { KillReport } from "./kill_reckoning.ts";

/** Options for {@linkcode runKills}. */
export interface KillOptions {
  readonly kills: number;
  readonly seed: number;
  /** Rounds with other victims are left out. @default {all} */
  readonly victims?: readonly Victim[];
  /** Called after each round. */
  readonly onRound?: (round: string, tookMs: number, state: KillReport) => void;
  readonly signal: AbortSignal;
}

/** Time limit for the programs to be back, and for a job to end. */
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
    if (options.victims?.includes(round.victim) === false) continue;
    const begun = performance.now();
    await runRound(suite, killer, { round, seed: options.seed, reckoning });
    options.onRound?.(nameOf(round), performance.now() - begun, reckoning.report());
  }
  await checkRecord(suite, reckoning);
  return reckoning.report();
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
  if (round.victim === "bus") {
    // The programs need no bus, so nobody may have started it. After an earlier kill that takes time.
    await suite.run(["busctl", "--user", "list", "--quiet"], { timeoutMs: BUS_DEADLINE_MS });
  }
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
  } else if (round.moment === "recovery" && round.victim !== "bus") {
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
