/**
 * `status`.
 *
 * @module
 */
import type { JobAnswer, ProjectAnswer, StatusAnswer } from "@lib/api/client/answers.ts";
import type { RunnerClient } from "@lib/features/jobs/client/runner_client.ts";
import { formatSize } from "@lib/core/size.ts";
import type { CliContext } from "@lib/api/client/context.ts";
import { ago, oneLine, type Painter } from "@lib/api/client/format.ts";
import { printChanges } from "@lib/features/jobs/commands/events.ts";
import type { InvocationOf } from "../../../cmd/runner/commands/grammar.ts";
import { renderJobs } from "@lib/features/jobs/commands/job_table.ts";
import { changes, watchView } from "@lib/api/client/watch.ts";

/** What is shown. */
export interface Overview {
  readonly status: StatusAnswer;
  readonly open: readonly JobAnswer[];
  readonly ended: readonly JobAnswer[];
  /** The projects at work, as far as they are shown. */
  readonly projects: readonly ProjectAnswer[];
}

/** Projects whose limits are looked up. */
const MAX_PROJECTS = 8;

const ENDED = ["succeeded", "failed", "cancelled", "timed_out", "lost"];

/** Shows the runner, its queue and the jobs at work; with `--watch`, until Ctrl-C. */
export async function status(
  { watch }: InvocationOf<"status">,
  context: CliContext,
): Promise<number> {
  const { out, flags, clock, paint, signal } = context;
  using client = await context.connect();
  if (watch && flags.json) return await streamStatus(context, client);
  if (flags.json) {
    await out.json(await client.status(signal));
    return 0;
  }
  if (watch && out.isTerminal) {
    return await watchView(context, {
      client,
      load: (own) => load(client, own),
      render: (overview, { columns }) =>
        renderOverview(overview, { now: clock.now(), paint, width: columns }),
    });
  }
  const overview = await load(client, signal);
  const options = { now: clock.now(), paint, width: out.size()?.columns };
  for (const line of renderOverview(overview, options)) await out.line(line);
  return watch ? await printChanges(context, client, { wants: () => true }) : 0;
}

/** Renders the overview, a line each. */
export function renderOverview(
  { status, open, ended, projects }: Overview,
  options: { readonly now: number; readonly paint: Painter; readonly width?: number | undefined },
): readonly string[] {
  const { now, paint } = options;
  const { mode, queued, in_flight, max_running, ready, reasons, warnings = [] } = status;
  const counts = `${in_flight} of ${max_running} at work, ${queued} queued`;
  const head = [
    paint("strong", `cicd-runner ${status.version}`),
    ready ? paint("good", "ready") : paint("bad", "not ready"),
    ...(mode === "open" ? [] : [paint("warn", mode)]),
    counts,
    paint("faint", `started ${ago(status.started_at, now)}, agents by ${status.agents}`),
  ];
  return [
    head.join("  "),
    ...reasons.map((reason) => paint("bad", `! ${oneLine(reason)}`)),
    ...warnings.map((warning) => paint("warn", `! ${oneLine(warning)}`)),
    ...projects.flatMap(limitsLine).map((line) => paint("faint", line)),
    ...(open.length === 0 ? [] : ["", ...renderJobs(open, options)]),
    ...(ended.length === 0
      ? []
      : ["", paint("faint", "Ended last"), ...renderJobs(ended, options)]),
  ];
}

async function load(client: RunnerClient, signal: AbortSignal): Promise<Overview> {
  const [status, working, queued, ended] = await Promise.all([
    client.status(signal),
    client.jobs({ states: ["starting", "running"], limit: 100 }, signal),
    client.jobs({ states: ["queued"], limit: 20 }, signal),
    client.jobs({ states: ENDED, limit: 5 }, signal),
  ]);
  const names = [...new Set(working.jobs.map(({ project }) => project))].sort();
  const projects = await Promise.all(
    names.slice(0, MAX_PROJECTS).map((name) => client.project(name, signal)),
  );
  return { status, open: [...working.jobs, ...queued.jobs], ended: ended.jobs, projects };
}

/** What bounds all jobs of a project together; nothing if nothing does. */
function limitsLine({ project, agent }: ProjectAnswer): readonly string[] {
  const { cpu, memory_bytes, tasks } = agent?.limits ?? {};
  const limits = [
    ...(cpu === undefined ? [] : [`${cpu} CPU`]),
    ...(memory_bytes === undefined ? [] : [`${formatSize(memory_bytes)} memory`]),
    ...(tasks === undefined ? [] : [`${tasks} tasks`]),
  ];
  return limits.length === 0 ? [] : [`${project} is held to ${limits.join(", ")}`];
}

/** A status line for each change, as JSON. */
async function streamStatus(context: CliContext, client: RunnerClient): Promise<never> {
  const { out, signal } = context;
  await out.json(await client.status(signal));
  const stream = changes(context, client, { signal });
  while (true) {
    await stream.next();
    await out.json(await context.reconnect().run(() => client.status(signal)));
  }
}
