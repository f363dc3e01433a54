/**
 * Submits jobs, and follows them.
 *
 * @module
 */
import { CicdError } from "@lib/core/errors.ts";
import type { CliContext } from "@lib/api/client/context.ts";
import type { JobAnswer } from "@lib/api/client/jobs.ts";
import type { RunnerTransport } from "@lib/api/client/transport.ts";
import { type Holding, submitJob, submitSafely } from "@lib/features/jobs/client.ts";
import { type OnEnd, runToEnd } from "@lib/features/jobs/commands/follow_job.ts";
import type { JobSpecInput } from "@lib/features/jobs/commands/job_spec.ts";

/** Time for which a submission without an answer is repeated, in milliseconds. */
const SUBMIT_FOR_MS = 60_000;

/** Submits a job, follows it as its holder, and returns its exit code. */
export function runHeld(context: CliContext, spec: JobSpecInput, onEnd?: OnEnd): Promise<number> {
  return runToEnd(context, async (runner, signal) => ({
    job: await submitSpec(context, runner, { ...spec, isHeld: true }, signal),
    from: 0,
  }), onEnd);
}

/** Submits a job and prints its id. */
export async function submitAndLeave(context: CliContext, spec: JobSpecInput): Promise<number> {
  using runner = await context.connect();
  const job = await submitSpec(context, runner, spec, context.signal);
  if (context.flags.json) await context.out.json(job);
  else await context.out.line(job.id);
  return 0;
}

async function submitSpec(
  context: CliContext,
  runner: RunnerTransport,
  { request, explain, isHeld }: JobSpecInput & Holding,
  signal: AbortSignal,
): Promise<JobAnswer> {
  const key = crypto.randomUUID();
  const traceparent = context.env["TRACEPARENT"];
  try {
    return await submitSafely(
      () => submitJob(runner, { request, key, isHeld, traceparent }, signal),
      context.reconnect(signal, SUBMIT_FOR_MS),
    );
  } catch (error) {
    throw error instanceof CicdError ? explain(error) : error;
  }
}
