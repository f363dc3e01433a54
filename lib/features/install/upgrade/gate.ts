/**
 * The health gate: a release is kept if its runner answers and takes over the jobs under way.
 *
 * @module
 */
import * as v from "valibot";
import { withDeadline } from "@lib/core/abort.ts";
import type { Clock } from "@lib/core/clock.ts";
import { CicdError, messageOf } from "@lib/core/errors.ts";
import type { UnitsSeen, UserUnits } from "@lib/features/install/upgrade/units.ts";

/** Sends a request to the runner's socket and returns the answer. */
export type AskRunner = (path: string, signal: AbortSignal) => Promise<unknown>;

/** The state of things before an upgrade. */
export interface Before {
  readonly units: UnitsSeen;
  /** `undefined`: the runner did not answer. */
  readonly pid?: number | undefined;
  readonly isReady: boolean;
  /** The jobs under way. */
  readonly jobs: readonly RunningJob[];
}

/** A job under way. */
export interface RunningJob {
  readonly id: string;
  readonly project: string;
}

/** Options for {@linkcode passGate}. */
export interface GateInput {
  readonly ask: AskRunner;
  readonly units: UserUnits;
  readonly clock: Clock;
  readonly before: Before;
  /** The version that has to answer. */
  readonly version: string;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/** The finding of the gate. */
export type GateOutcome =
  | { readonly kind: "healthy" }
  | { readonly kind: "unhealthy"; readonly reason: string };

const statusSchema = v.object({
  version: v.string(),
  pid: v.number(),
  ready: v.boolean(),
  reasons: v.array(v.string()),
});
const jobSchema = v.object({
  id: v.string(),
  project: v.string(),
  state: v.string(),
  waiting: v.nullish(v.string()),
});
const pageSchema = v.object({ jobs: v.array(jobSchema) });
const projectSchema = v.object({ agent: v.object({ running: v.boolean() }) });

/** Time for one answer. */
const ANSWER_MS = 10_000;
const PAUSE_MS = 250;
/** Jobs a page: the runner's limit. */
const PAGE = 500;

/** Looks at the runner before anything changes. */
export async function lookBefore(
  ask: AskRunner,
  units: UserUnits,
  signal: AbortSignal,
): Promise<Before> {
  const seen = await units.look(signal);
  try {
    const status = v.parse(statusSchema, await askWithin(ask, "/v1/status", signal));
    const jobs = await underWay(ask, signal);
    // Once more: the first question may have started the runner.
    const now = await units.look(signal);
    const { pid, ready } = status;
    return { units: now, pid, isReady: ready, jobs };
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof CicdError || error instanceof v.ValiError)) throw error;
    return { units: seen, pid: undefined, isReady: false, jobs: [] };
  }
}

/** Waits until the new runner is healthy, or until the time is up. */
export async function passGate(input: GateInput): Promise<GateOutcome> {
  const { clock, timeoutMs, signal } = input;
  const until = clock.now() + timeoutMs;
  for (;;) {
    const found = await look(input);
    if (found.kind === "healthy") return found;
    // A clock that is set must not hold this up.
    const leftMs = Math.min(until - clock.now(), timeoutMs);
    if (found.isFinal || leftMs <= 0) return { kind: "unhealthy", reason: found.reason };
    await clock.sleep(Math.min(PAUSE_MS, leftMs), { signal });
  }
}

type Looked =
  | { readonly kind: "healthy" }
  | { readonly kind: "not_yet"; readonly reason: string; readonly isFinal?: true };

async function look(input: GateInput): Promise<Looked> {
  const { ask, units, before, version, timeoutMs, signal } = input;
  const within = Math.min(ANSWER_MS, timeoutMs);
  try {
    const status = v.parse(statusSchema, await askWithin(ask, "/v1/status", signal, within));
    if (status.pid === before.pid) return notYet("the runner was not restarted");
    if (status.version !== version) {
      const reason = `the runner answers as version ${status.version}, not ${version}`;
      return { ...notYet(reason), isFinal: true };
    }
    if (before.isReady && !status.ready) {
      return notYet(`the runner is not ready: ${status.reasons.join("; ")}`);
    }
    const old = new Map(before.units.agents.map(({ unit, pid }) => [unit, pid]));
    const { agents } = await units.look(signal);
    const same = agents.find(({ unit, pid }) => old.get(unit) === pid);
    if (same !== undefined) return notYet(`${same.unit} was not restarted`);
    return await lookAtJobs(input, within);
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof v.ValiError) return notYet("the runner's answer is not one of its API");
    if (!(error instanceof CicdError)) throw error;
    return notYet(`the runner does not answer: ${messageOf(error)}`);
  }
}

async function lookAtJobs(
  { ask, before, signal }: GateInput,
  within: number,
): Promise<Looked> {
  if (before.jobs.length === 0) return { kind: "healthy" };
  const running = new Map(
    (await pageOf(ask, signal, within)).jobs.map((job) => [job.id, job]),
  );
  const projects = new Set<string>();
  for (const { id, project } of before.jobs) {
    const path = `/v1/jobs/${encodeURIComponent(id)}`;
    const job = running.get(id) ?? v.parse(jobSchema, await askWithin(ask, path, signal, within));
    if (job.state === "lost") {
      return { ...notYet(`job ${id} was running, and is lost`), isFinal: true };
    }
    if (!running.has(id)) continue;
    if (/\bagent\b/.test(job.waiting ?? "")) return notYet(`job ${id}: ${job.waiting}`);
    projects.add(project);
  }
  for (const project of projects) {
    const path = `/v1/projects/${encodeURIComponent(project)}`;
    const { agent } = v.parse(projectSchema, await askWithin(ask, path, signal, within));
    if (!agent.running) {
      return notYet(`the runner does not reach the agent of ${project}, whose jobs are running`);
    }
  }
  return { kind: "healthy" };
}

async function underWay(ask: AskRunner, signal: AbortSignal): Promise<readonly RunningJob[]> {
  const { jobs } = await pageOf(ask, signal);
  return jobs.map(({ id, project }) => ({ id, project }));
}

async function pageOf(ask: AskRunner, signal: AbortSignal, within = ANSWER_MS) {
  const path = `/v1/jobs?state=running,starting&limit=${PAGE}`;
  return v.parse(pageSchema, await askWithin(ask, path, signal, within));
}

async function askWithin(
  ask: AskRunner,
  path: string,
  signal: AbortSignal,
  within = ANSWER_MS,
): Promise<unknown> {
  using deadline = withDeadline(signal, within, "the runner");
  return await ask(path, deadline);
}

function notYet(reason: string) {
  return { kind: "not_yet", reason } as const;
}
