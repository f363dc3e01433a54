/**
 * `events`.
 *
 * @module
 */
import type { JobAnswer } from "@lib/api/client/answers.ts";
import type { RunnerClient } from "@lib/features/jobs/client/runner_client.ts";
import type { CliContext } from "@lib/api/client/context.ts";
import { outcome, stateColour } from "@lib/api/client/format.ts";
import type { InvocationOf } from "../../../../cmd/runner/commands/grammar.ts";
import { changes } from "@lib/api/client/watch.ts";

/** Prints the changes of jobs as they come. */
export async function events(
  { since, project }: InvocationOf<"events">,
  context: CliContext,
): Promise<number> {
  using client = await context.connect();
  return await printChanges(context, client, {
    since,
    wants: (job) => project === undefined || job.project === project,
  });
}

/** Prints changes until the signal aborts. */
export async function printChanges(
  context: CliContext,
  client: RunnerClient,
  options: {
    readonly since?: number | undefined;
    readonly wants: (job: JobAnswer) => boolean;
  },
): Promise<never> {
  const { out, flags, paint, signal } = context;
  const since = options.since === undefined ? undefined : String(options.since);
  const stream = changes(context, client, { signal, since });
  while (true) {
    const { value } = await stream.next();
    const { revision, job } = value;
    if (!options.wants(job)) continue;
    if (flags.json) {
      await out.json({ revision: Number(revision), ...job });
      continue;
    }
    const words = [
      // Of what the job tells, the latest: a change has no time of its own.
      job.finished_at ?? job.started_at ?? job.created_at,
      job.id,
      job.project,
      paint(stateColour(job.state), job.state),
      outcome(job),
    ];
    await out.line(words.filter((word) => word !== "").join("  "));
  }
}
