/**
 * `jobs`.
 *
 * @module
 */
import type { JobAnswer } from "@lib/api/client/answers.ts";
import type { JobFilter, RunnerClient } from "@lib/features/jobs/client/runner_client.ts";
import type { CliContext } from "@lib/api/client/context.ts";
import { printChanges } from "@lib/features/jobs/commands/events.ts";
import type { InvocationOf } from "../../../../cmd/runner/commands/grammar.ts";
import { renderJobs } from "@lib/features/jobs/commands/job_table.ts";
import { watchView } from "@lib/api/client/watch.ts";

/** Jobs asked for at a time: the most that the runner gives. */
const PAGE = 500;

/** Lists jobs, newest first. */
export async function jobs(invocation: InvocationOf<"jobs">, context: CliContext): Promise<number> {
  const { out, flags, clock, paint, signal } = context;
  using client = await context.connect();
  const { project, states, limit, all, watch } = invocation;
  const filter: JobFilter = {
    ...(project === undefined ? {} : { project }),
    ...(states === undefined ? {} : { states }),
  };
  const max = all ? Infinity : limit;
  if (watch && out.isTerminal && !flags.json) {
    const load = (own: AbortSignal) => collect(client, filter, max, own);
    return await watchView(context, {
      client,
      load,
      render: (found, { columns }) =>
        renderJobs(found, { now: clock.now(), paint, width: columns }),
    });
  }
  if (flags.json) {
    for await (const job of pages(client, filter, max, signal)) await out.json(job);
  } else {
    const found = await collect(client, filter, max, signal);
    const width = out.size()?.columns;
    if (found.length === 0) out.note("there are no such jobs");
    else {for (const line of renderJobs(found, { now: clock.now(), paint, width })) {
        await out.line(line);
      }}
  }
  if (!watch) return 0;
  return await printChanges(context, client, {
    wants: (job) =>
      (project === undefined || job.project === project) &&
      (states === undefined || states.includes(job.state)),
  });
}

/** Yields jobs page by page, `max` at most. */
export async function* pages(
  client: RunnerClient,
  filter: JobFilter,
  max: number,
  signal: AbortSignal,
): AsyncGenerator<JobAnswer, void, undefined> {
  let left = max;
  let cursor: string | undefined;
  while (left > 0) {
    const limit = Math.min(PAGE, left);
    const page = await client.jobs(
      { ...filter, limit, ...(cursor === undefined ? {} : { cursor }) },
      signal,
    );
    yield* page.jobs.slice(0, left);
    left -= page.jobs.length;
    if (page.next_cursor === null || page.jobs.length === 0) return;
    cursor = page.next_cursor;
  }
}

async function collect(
  client: RunnerClient,
  filter: JobFilter,
  max: number,
  signal: AbortSignal,
): Promise<readonly JobAnswer[]> {
  return await Array.fromAsync(pages(client, filter, max, signal));
}
