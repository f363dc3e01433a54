/**
 * `run` and `submit`.
 *
 * @module
 */
import { CicdError } from "@lib/core/errors.ts";
import { TaskGroup } from "@lib/core/task_group.ts";
import type { JobAnswer } from "@lib/api/client/answers.ts";
import { EXIT_CANCELLED } from "@lib/features/jobs/client/exit_code.ts";
import type { RunnerClient } from "@lib/features/jobs/client/runner_client.ts";
import { submitSafely } from "@lib/features/jobs/client/submit_safely.ts";
import type { CliContext } from "@lib/api/client/context.ts";
import { cancelOnInterrupt, followToEnd } from "@lib/features/jobs/commands/follow_job.ts";
import type { InvocationOf } from "../../../../cmd/runner/commands/grammar.ts";
import { openInput } from "@lib/features/jobs/commands/input.ts";
import { type JobSpecInput, readJobSpec } from "@lib/features/jobs/commands/job_spec.ts";
import { onInterrupt } from "@lib/foundations/cli/signals.ts";

/** How long a submission whose answer got lost is tried again, in milliseconds. */
const SUBMIT_FOR_MS = 60_000;

/** Submits a job and prints its id. */
export async function submit(
  invocation: InvocationOf<"submit" | "run">,
  context: CliContext,
): Promise<number> {
  const spec = await readJobSpec(invocation, openInput(context.env));
  using client = await context.connect();
  const job = await submitSpec(context, client, spec, context.signal);
  if (context.flags.json) await context.out.json(job);
  else await context.out.line(job.id);
  return 0;
}

/**
 * Submits a job, follows it, and exits with its exit code.
 *
 * An interrupt before the job is accepted takes effect as soon as it is.
 */
export async function run(invocation: InvocationOf<"run">, context: CliContext): Promise<number> {
  if (invocation.detach) return await submit(invocation, context);
  const spec = await readJobSpec(invocation, openInput(context.env));
  const { out, flags } = context;
  using client = await context.connect();
  const leave = new AbortController();
  const signal = AbortSignal.any([context.signal, leave.signal]);
  let id: string | undefined;
  let isCancelled = false;
  await using tasks = new TaskGroup({ onFailure: (_name, error) => out.note(String(error)) });
  const cancel = (job: string) =>
    tasks.spawn("cancel", () => cancelOnInterrupt(context, { client, id: job, signal }));
  using _interrupts = onInterrupt({
    first() {
      isCancelled = true;
      out.note("cancelling the job; press Ctrl-C again to leave");
      if (id !== undefined) cancel(id);
    },
    again: () => leave.abort(new DOMException("The user left", "AbortError")),
  });
  try {
    const job = await submitSpec(context, client, spec, signal);
    id = job.id;
    if (isCancelled) cancel(id);
    if (flags.json) await out.json({ event: "job", job });
    return await followToEnd(context, { client, id, part: { from: 0 }, signal });
  } catch (error) {
    if (!leave.signal.aborted) throw error;
    out.note(
      id === undefined
        ? "left before the job was accepted"
        : `left job ${id}; see it with: cicd-runner logs -f ${id}`,
    );
    return EXIT_CANCELLED;
  }
}

async function submitSpec(
  context: CliContext,
  client: RunnerClient,
  { request, explain }: JobSpecInput,
  signal: AbortSignal,
): Promise<JobAnswer> {
  const key = crypto.randomUUID();
  try {
    return await submitSafely(
      () => client.submit(request, key, signal),
      context.reconnect(signal, SUBMIT_FOR_MS),
    );
  } catch (error) {
    throw error instanceof CicdError ? explain(error) : error;
  }
}
