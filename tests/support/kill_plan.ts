/**
 * What the kill suite does, decided by a seed: whom to kill, and when.
 *
 * @module
 */

/** The targets of kills. */
export const VICTIMS = ["runner", "agent", "both", "bus", "manager"] as const;
/** One of {@linkcode VICTIMS}. */
export type Victim = typeof VICTIMS[number];

/** The part of a job's life that a kill is aimed at. */
export const MOMENTS = ["submit", "start", "running", "end", "recovery"] as const;
/** One of {@linkcode MOMENTS}. */
export type Moment = typeof MOMENTS[number];

/** A job of a round. */
export interface PlannedJob {
  readonly project: string;
  /** Lines of output. */
  readonly lines: number;
  /** Pauses of `pauseMs` between the lines, evenly spread. */
  readonly pauses: number;
  readonly pauseMs: number;
  readonly exitCode: number;
}

/** One kill and the jobs it is to disturb. */
export interface Round {
  readonly number: number;
  readonly victim: Victim;
  readonly moment: Moment;
  /**
   * From the submission (`submit`, `start`), from the first job's first instruction (`running`,
   * `end`), or from the victim's new life after a first kill (`recovery`).
   */
  readonly delayMs: number;
  readonly jobs: readonly PlannedJob[];
}

const PROJECTS = ["web", "web-app", "api"] as const;

/** A random number in [0, 1); the same sequence for the same seed. */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** Plans round `number` of a seed; independent of the other rounds. */
export function planRound(seed: number, number: number): Round {
  const random = randomFrom(seed * 1_000_003 + number);
  const victim = victimOf(number, random);
  const moment = pick(MOMENTS, random);
  const count = 1 + Math.floor(random() * 3);
  const jobs = Array.from({ length: count }, (): PlannedJob => {
    const pauses = Math.floor(random() * 5);
    return {
      project: pick(PROJECTS, random),
      lines: 5 + Math.floor(random() * 60),
      pauses,
      pauseMs: pauses === 0 ? 0 : Math.floor(random() * 400 / pauses),
      exitCode: random() < 0.5 ? 0 : 1 + Math.floor(random() * 120),
    };
  });
  return { number, victim, moment, delayMs: delayOf(moment, jobs, random), jobs };
}

/** The bus and the manager take longest to come back, so their turns are few. */
function victimOf(number: number, random: () => number): Victim {
  if (number % 25 === 12) return "bus";
  if (number % 10 === 8) return "manager";
  return pick(["runner", "agent", "both"], random);
}

function delayOf(
  moment: Moment,
  jobs: readonly PlannedJob[],
  random: () => number,
): number {
  const first = jobs[0];
  const runMs = first === undefined ? 0 : first.pauses * first.pauseMs;
  switch (moment) {
    case "submit":
      return Math.floor(random() * 40) / 4;
    case "start":
      return 5 + Math.floor(random() * 140) / 4;
    case "running":
      return random() * runMs;
    case "end":
      return Math.max(0, runMs - 6 + random() * 30);
    case "recovery":
      return random() * 250;
  }
}

function pick<T>(items: readonly [T, ...T[]], random: () => number): T {
  return items[Math.floor(random() * items.length)] ?? items[0];
}

/** The file that every job writes to. */
export const LEDGER = "/home/dev/ledger";

/** The script of a job. */
export function scriptOf({ lines, pauses, pauseMs, exitCode }: PlannedJob, key: string): string {
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

/** Returns the output of the script. */
export function logOf({ lines }: PlannedJob, key: string): string {
  return Array.from({ length: lines }, (_, index) => `line ${index + 1} of ${key}\n`).join("");
}

/** Names a round for people. */
export function nameOf({ number, victim, moment, delayMs }: Round): string {
  return `round ${number}: ${victim} at ${moment} + ${delayMs.toFixed(2)} ms`;
}
