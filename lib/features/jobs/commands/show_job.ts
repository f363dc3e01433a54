/**
 * Shows a job.
 *
 * @module
 */
import { formatDuration } from "@lib/core/duration.ts";
import { formatSize } from "@lib/core/size.ts";
import type { CliContext } from "@lib/api/client/context.ts";
import {
  ago,
  oneLine,
  outcome,
  type Painter,
  runTime,
  stateColour,
  workOf,
} from "@lib/api/client/format.ts";
import { type JobAnswer, jobIdOf, type SpecAnswer, specOf } from "@lib/api/client/jobs.ts";
import { droppedText } from "@lib/features/jobs/commands/follow_job.ts";
import { showJob } from "@lib/features/jobs/client.ts";
import { renderFields, renderTable } from "@lib/foundations/cli/table.ts";

/** Runs `show`. */
export async function runShow(
  { id }: { readonly id: string },
  { connect, out, flags, clock, paint, signal }: CliContext,
): Promise<number> {
  using runner = await connect();
  const job = await showJob(runner, await jobIdOf(runner, id, signal), signal);
  if (flags.json) await out.json(job);
  else for (const line of await renderJob(job, { now: clock.now(), paint })) await out.line(line);
  return 0;
}

/** Renders a job with its attempts, a line each. */
async function renderJob(
  job: JobAnswer,
  { now, paint }: { readonly now: number; readonly paint: Painter },
): Promise<readonly string[]> {
  const { limits, usage, attempts = [] } = job;
  const spec = specOf(job);
  const why = outcome(job);
  const state = why === "" ? job.state : `${job.state} (${why})`;
  const fields = renderFields([
    ["id", job.id],
    ["project", job.project],
    ["state", { text: state, paint: (text) => paint(stateColour(job.state), text) }],
    ["message", job.message === null ? undefined : oneLine(job.message)],
    ["held until", job.held_until == null ? undefined : heldText(job.held_until, now)],
    ["waiting", job.waiting == null ? undefined : oneLine(job.waiting)],
    ["runs", workOf(job)],
    ["image", imageText(spec)],
    ["git", gitText(spec.git)],
    ["commit", job.commit ?? undefined],
    ["workdir", spec.workdir],
    ["queue", job.queue_position === undefined ? undefined : `${job.queue_position} ahead of it`],
    ["group", spec.concurrency_group],
    ["created", time(job.created_at, now)],
    ["started", time(job.started_at, now)],
    ["finished", time(job.finished_at, now)],
    ["time", runTime(job, now) || undefined],
    ["usage", usageText(usage) || undefined],
    ["contained", containedText(usage)],
    ["limits", limitsText(limits)],
    [
      "log",
      listText(
        attempts.flatMap(({ number, log_dropped_bytes: dropped = null }) =>
          dropped === null ? [] : [`of attempt ${number} cut: ${droppedText(dropped)} dropped`]
        ),
      ),
    ],
    ["artifacts", artifactsText(spec.artifacts)],
    ["caches", listText(spec.caches?.map(({ name }) => name))],
    [
      "labels",
      listText(Object.entries(spec.labels ?? {}).map(([name, value]) => `${name}=${value}`)),
    ],
  ], (name) => paint("faint", name));
  if (attempts.length < 2) return fields;
  return [
    ...fields,
    "",
    ...await renderTable({
      columns: [
        { title: "ATTEMPT", align: "right" },
        { title: "STATE" },
        { title: "STARTED" },
        { title: "TIME", align: "right" },
        { title: "LOG", align: "right" },
        { title: "MESSAGE" },
      ],
      rows: attempts.map((attempt) => [
        String(attempt.number),
        { text: attempt.state, paint: (text) => paint(stateColour(attempt.state), text) },
        attempt.started_at === null ? "" : ago(attempt.started_at, now),
        runTime(attempt, now),
        attempt.log_bytes === null ? "" : formatSize(attempt.log_bytes),
        oneLine(attempt.message ?? ""),
      ]),
      paintTitle: (text) => paint("faint", text),
    }),
  ];
}

function heldText(until: string, now: number): string {
  const left = Math.max(0, Date.parse(until) - now);
  return `${until} (for ${formatDuration(Math.round(left / 1_000) * 1_000)}); 'attach' enters it`;
}

function time(at: string | null, now: number): string | undefined {
  return at === null ? undefined : `${at} (${ago(at, now)})`;
}

function usageText(usage: JobAnswer["usage"]): string {
  const { cpu_seconds, memory_peak_bytes, cpu_throttled_seconds } = usage;
  return [
    cpu_seconds === null ? "" : `${formatDuration(cpu_seconds * 1_000)} CPU`,
    memory_peak_bytes === null ? "" : `${formatSize(memory_peak_bytes)} memory peak`,
    cpu_throttled_seconds === null || cpu_throttled_seconds === 0
      ? ""
      : `throttled by its CPU limit for ${formatDuration(cpu_throttled_seconds * 1_000)}`,
  ].filter((part) => part !== "").join(", ");
}

/** Says how processes were held together where neither a unit nor a container did. */
function containedText({ containment }: JobAnswer["usage"]): string | undefined {
  if (containment == null) return undefined;
  return containment === "namespace" ? "in a PID namespace" : "by session and variables";
}

function limitsText(limits: JobAnswer["limits"]): string {
  const shown = (name: string, show: (value: number) => string) => {
    const value = limits[name] ?? null;
    return value === null ? [] : [show(value)];
  };
  return [
    ...shown("cpu", (value) => `${value} CPU`),
    ...shown("memory_bytes", (value) => `${formatSize(value)} memory`),
    ...shown("tasks", (value) => `${value} tasks`),
    ...shown("disk_bytes", (value) => `${formatSize(value)} disk`),
    ...shown("timeout_seconds", (value) => `${formatDuration(value * 1_000)} time`),
    ...shown("grace_seconds", (value) => `${formatDuration(value * 1_000)} grace`),
  ].join(", ");
}

function imageText({ image, network }: SpecAnswer): string | undefined {
  if (image === undefined) return undefined;
  return oneLine(network === undefined ? image : `${image} (network ${network})`);
}

/** Renders the repository and the requested commit. */
function gitText(git: SpecAnswer["git"]): string | undefined {
  if (git === undefined) return undefined;
  const commit = [git.ref, git.sha].filter((part) => part !== undefined).join(" at ");
  return oneLine(`${git.url} ${commit === "" ? "(default branch)" : `(${commit})`}`);
}

function artifactsText(artifacts: SpecAnswer["artifacts"]): string | undefined {
  if (artifacts === undefined) return undefined;
  return oneLine(`${artifacts.paths.join(", ")} (kept after: ${artifacts.when})`);
}

function listText(texts: readonly string[] = []): string | undefined {
  return texts.length === 0 ? undefined : oneLine(texts.join(", "));
}
