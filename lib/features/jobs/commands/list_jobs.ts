/**
 * Lists jobs, and follows the list.
 *
 * @module
 */
import type { CliContext } from "@lib/api/client/context.ts";
import { renderJobs } from "@lib/api/client/format.ts";
import { type JobAnswer, pages, specOf } from "@lib/api/client/jobs.ts";
import { printChanges, watchView } from "@lib/api/client/watch.ts";

/** The flags of `jobs`. */
export interface ListFlags {
  readonly project: string | undefined;
  readonly states: readonly string[] | undefined;
  readonly labels: readonly string[];
  readonly limit: number;
  readonly all: boolean;
  readonly watch: boolean;
}

/** Runs `jobs`. */
export async function runJobs(
  { project, states, labels, limit, all, watch }: ListFlags,
  context: CliContext,
): Promise<number> {
  const { out, flags, clock, paint, signal } = context;
  using runner = await context.connect();
  const max = all ? Infinity : limit;
  const found = (own: AbortSignal) => pages(runner, { project, states, labels }, max, own);
  if (watch && out.isTerminal && !flags.json) {
    return await watchView(context, {
      runner,
      load: (own) => Array.fromAsync(found(own)),
      render: (loaded, { columns }) =>
        renderJobs(loaded, { now: clock.now(), paint, width: columns }),
    });
  }
  if (flags.json) {
    for await (const job of found(signal)) await out.json(job);
  } else {
    const loaded = await Array.fromAsync(found(signal));
    const options = { now: clock.now(), paint, width: out.size()?.columns };
    if (loaded.length === 0) out.note("no jobs found");
    else for (const line of await renderJobs(loaded, options)) await out.line(line);
  }
  if (!watch) return 0;
  return await printChanges(context, runner, {
    isWanted: (job) =>
      (project === undefined || job.project === project) &&
      (states === undefined || states.includes(job.state)) &&
      labels.every((label) => labelsOf(job).includes(label)),
  });
}

function labelsOf(job: JobAnswer): readonly string[] {
  return Object.entries(specOf(job).labels ?? {}).map(([name, value]) => `${name}=${value}`);
}
