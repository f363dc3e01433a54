/**
 * Shows the runner at a glance.
 *
 * @module
 */
import { formatSize } from "@lib/core/size.ts";
import type { CliContext } from "@lib/api/client/context.ts";
import { ago, oneLine, type Painter, renderJobs } from "@lib/api/client/format.ts";
import { changes, ENDED_STATES, type JobAnswer, listJobs } from "@lib/api/client/jobs.ts";
import type { RunnerTransport } from "@lib/api/client/transport.ts";
import { printChanges, watchView } from "@lib/api/client/watch.ts";
import {
  type ProjectDetailAnswer,
  showProject,
  showStatus,
  type StatusAnswer,
} from "@lib/features/status/client.ts";

/** The runner and its jobs, as shown. */
interface Overview {
  readonly status: StatusAnswer;
  readonly open: readonly JobAnswer[];
  readonly ended: readonly JobAnswer[];
  /** The active projects that are shown. */
  readonly projects: readonly ProjectDetailAnswer[];
}

/** Largest number of projects whose limits are shown. */
const MAX_PROJECTS = 8;

/** Runs `status`. */
export async function runStatus(
  { watch }: { readonly watch: boolean },
  context: CliContext,
): Promise<number> {
  const { out, flags, clock, paint, signal } = context;
  using runner = await context.connect();
  if (watch && flags.json) return await streamStatus(context, runner);
  if (flags.json) {
    await out.json(await showStatus(runner, signal));
    return 0;
  }
  if (watch && out.isTerminal) {
    return await watchView(context, {
      runner,
      load: (own) => load(runner, own),
      render: (overview, { columns }) =>
        renderOverview(overview, { now: clock.now(), paint, width: columns }),
    });
  }
  const overview = await load(runner, signal);
  const options = { now: clock.now(), paint, width: out.size()?.columns };
  for (const line of await renderOverview(overview, options)) await out.line(line);
  return watch ? await printChanges(context, runner, { isWanted: () => true }) : 0;
}

/** Renders the overview, a line each. */
async function renderOverview(
  { status, open, ended, projects }: Overview,
  options: { readonly now: number; readonly paint: Painter; readonly width?: number | undefined },
): Promise<readonly string[]> {
  const { now, paint } = options;
  const { mode, queued, in_flight, max_running, ready, reasons } = status;
  const { agent_problems = [], links = [], warnings = [] } = status;
  const counts = `${in_flight} of ${max_running} running, ${queued} queued`;
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
    ...agent_problems.map(({ project, reason, since }) =>
      paint("bad", `! the agent of ${project}, ${ago(since, now)}: ${oneLine(reason)}`)
    ),
    ...links.map((link) => renderLink(link, options)),
    ...warnings.map((warning) => paint("warn", `! ${oneLine(warning)}`)),
    ...projects.flatMap(limitsLine).map((line) => paint("faint", line)),
    ...(open.length === 0 ? [] : ["", ...await renderJobs(open, options)]),
    ...(ended.length === 0
      ? []
      : ["", paint("faint", "Recently ended"), ...await renderJobs(ended, options)]),
  ];
}

function renderLink(
  { name, state, detail, since, is_good }: NonNullable<StatusAnswer["links"]>[number],
  { now, paint }: { readonly now: number; readonly paint: Painter },
): string {
  const text = `${name}: ${state.replaceAll("_", " ")}, ${ago(since, now)}` +
    (detail === "" ? "" : `: ${oneLine(detail)}`);
  return is_good ? paint("faint", text) : paint("bad", `! ${text}`);
}

async function load(runner: RunnerTransport, signal: AbortSignal): Promise<Overview> {
  const [status, working, queued, ended] = await Promise.all([
    showStatus(runner, signal),
    listJobs(runner, { states: ["starting", "running"], limit: 100 }, signal),
    listJobs(runner, { states: ["queued"], limit: 20 }, signal),
    listJobs(runner, { states: ENDED_STATES, limit: 5 }, signal),
  ]);
  const names = [...new Set(working.jobs.map(({ project }) => project))].sort();
  const projects = await Promise.all(
    names.slice(0, MAX_PROJECTS).map((name) => showProject(runner, name, signal)),
  );
  return { status, open: [...working.jobs, ...queued.jobs], ended: ended.jobs, projects };
}

/** Renders the limits of all jobs of a project together, if any. */
function limitsLine({ project, agent }: ProjectDetailAnswer): readonly string[] {
  const { cpu, memory_bytes, tasks } = agent?.limits ?? {};
  const limits = [
    ...(cpu === undefined ? [] : [`${cpu} CPU`]),
    ...(memory_bytes === undefined ? [] : [`${formatSize(memory_bytes)} memory`]),
    ...(tasks === undefined ? [] : [`${tasks} tasks`]),
  ];
  return limits.length === 0 ? [] : [`${project} is limited to ${limits.join(", ")}`];
}

/** Prints the status as JSON after each change. */
async function streamStatus(context: CliContext, runner: RunnerTransport): Promise<never> {
  const { out, signal } = context;
  await out.json(await showStatus(runner, signal));
  const stream = changes(context, runner, { signal });
  while (true) {
    await stream.next();
    await out.json(await context.reconnect().run(() => showStatus(runner, signal)));
  }
}
