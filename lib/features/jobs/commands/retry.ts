/**
 * `retry`.
 *
 * @module
 */
import { TaskGroup } from "@lib/core/task_group.ts";
import { EXIT_CANCELLED } from "@lib/features/jobs/client/exit_code.ts";
import type { CliContext } from "@lib/api/client/context.ts";
import { cancelOnInterrupt, followToEnd } from "@lib/features/jobs/commands/follow_job.ts";
import type { InvocationOf } from "../../../../cmd/runner/commands/grammar.ts";
import { onInterrupt } from "@lib/foundations/cli/signals.ts";

/** Runs an ended job again; with `--follow`, as `run` does. */
export async function retry(
  invocation: InvocationOf<"retry">,
  context: CliContext,
): Promise<number> {
  const { out, flags } = context;
  using client = await context.connect();
  const leave = new AbortController();
  const signal = AbortSignal.any([context.signal, leave.signal]);
  const from = invocation.follow ? await client.logSize(invocation.id, undefined, signal) : 0;
  const job = await client.retry(invocation.id, signal);
  if (!invocation.follow) {
    if (flags.json) await out.json(job);
    else await out.line(`job ${job.id} is queued again`);
    return 0;
  }
  if (flags.json) await out.json({ event: "job", job });
  await using tasks = new TaskGroup({ onFailure: (_name, error) => out.note(String(error)) });
  using _interrupts = onInterrupt({
    first() {
      out.note("cancelling the job; press Ctrl-C again to leave");
      tasks.spawn("cancel", () => cancelOnInterrupt(context, { client, id: job.id, signal }));
    },
    again: () => leave.abort(new DOMException("The user left", "AbortError")),
  });
  try {
    return await followToEnd(context, { client, id: job.id, part: { from }, signal });
  } catch (error) {
    if (!leave.signal.aborted) throw error;
    out.note(`left job ${job.id}; see it with: cicd-runner logs -f ${job.id}`);
    return EXIT_CANCELLED;
  }
}
