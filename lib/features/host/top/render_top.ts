/**
 * Draws a frame of `top`.
 *
 * @module
 */
import { oneLine, type Painter, runTime, stateColour, workOf } from "@lib/api/client/format.ts";
import type { JobAnswer } from "@lib/api/client/jobs.ts";
import { formatDuration } from "@lib/core/duration.ts";
import { formatSize } from "@lib/core/size.ts";
import type { TopFrame } from "@lib/features/host/top/top_frame.ts";
import { bar, sparkline } from "@lib/foundations/cli/bars.ts";
import { type Cell, renderTable } from "@lib/foundations/cli/table.ts";

/** Shares of the frames before, oldest first. */
export interface TopHistory {
  readonly cpu: readonly (number | undefined)[];
  readonly memory: readonly (number | undefined)[];
  /** Processors that a job used, by its id. */
  readonly jobs: ReadonlyMap<string, readonly (number | undefined)[]>;
}

/** Options for {@linkcode renderTop}. */
export interface RenderTopOptions {
  readonly history: TopHistory;
  readonly jobs: readonly JobAnswer[];
  readonly queued: readonly JobAnswer[];
  readonly now: number;
  readonly paint: Painter;
  readonly columns: number;
}

const BAR_WIDTH = 20;
const SPARK_WIDTH = 30;
const JOB_SPARK_WIDTH = 10;

/** Renders a frame, a line each, no wider than the terminal. */
export async function renderTop(
  frame: TopFrame,
  options: RenderTopOptions,
): Promise<readonly string[]> {
  const { columns, paint } = options;
  const lines = [
    ...headLines(frame, options).map((cells) => clipped(cells, columns)),
    ...queueLines(frame, options).map((cells) => clipped(cells, columns)),
  ];
  if (frame.projects.length > 0) lines.push("", ...await projectLines(frame, options));
  if (frame.jobs.length > 0) lines.push("", ...await jobLines(frame, options));
  if (options.queued.length > 0) {
    lines.push("", paint("faint", "Queued, newest first"), ...await queuedLines(options));
  }
  return lines;
}

function headLines(
  { host, queue }: TopFrame,
  { history, paint }: RenderTopOptions,
): readonly (readonly Cell[])[] {
  const title: Cell[] = [
    { text: `cicd-runner ${oneLine(queue.version)}`, paint: (text) => paint("strong", text) },
    {
      text: `  up ${formatDuration(Math.floor(host.uptime_seconds) * 1_000)}` +
        `  load ${host.load.map((each) => each.toFixed(2)).join(" ")}` +
        (host.cpus === null ? "" : `  ${host.cpus} CPUs`),
    },
  ];
  const disks = [...new Map(
    host.disks.map((disk) =>
      // Directories on one disk are shown once.
      [`${disk.total_bytes} ${disk.free_bytes}`, disk] as const
    ).toReversed(),
  ).values()];
  const stalls = (["cpu", "memory", "io"] as const).flatMap((name): readonly Cell[] => {
    const share = host.pressure[name]?.some_avg10;
    if (share === undefined) return [];
    return [{
      text: `  ${name} ${share.toFixed(1)}%`,
      paint: (text) => share < 20 ? text : paint(share < 60 ? "warn" : "bad", text),
    }];
  });
  const { received_bytes_per_second: received, sent_bytes_per_second: sent } = host;
  return [
    title,
    gauge("CPU", host.cpu, percent(host.cpu), paint, [
      { text: `  ${sparkline(history.cpu, SPARK_WIDTH)}`, paint: (text) => paint("busy", text) },
      ...(host.steal !== null && host.steal > 0.01
        ? [{ text: `  ${percent(host.steal).trim()} stolen` }]
        : []),
    ]),
    gauge("Memory", host.memory, percent(host.memory), paint, [
      { text: `  ${sparkline(history.memory, SPARK_WIDTH)}`, paint: (text) => paint("busy", text) },
      { text: `  ${formatSize(host.memory_used_bytes)} of ${formatSize(host.memory_total_bytes)}` },
    ]),
    ...(host.swap_total_bytes === 0 ? [] : [
      gauge(
        "Swap",
        host.swap_used_bytes / host.swap_total_bytes,
        percent(host.swap_used_bytes / host.swap_total_bytes),
        paint,
        [],
      ),
    ]),
    ...disks.map(({ use, path, total_bytes, free_bytes }) => {
      const share = total_bytes === 0 ? 0 : 1 - free_bytes / total_bytes;
      return gauge("Disk", share, percent(share), paint, [
        { text: `  ${formatSize(free_bytes)} of ${formatSize(total_bytes)} free` },
        { text: `  ${use} ${oneLine(path)}`, paint: (text) => paint("faint", text) },
      ]);
    }),
    ...(stalls.length === 0 ? [] : [[label("Stalled", paint), ...stalls]]),
    ...(received === null || sent === null ? [] : [[
      label("Network", paint),
      { text: `  ${formatSize(Math.round(received))}/s in` },
      { text: `  ${formatSize(Math.round(sent))}/s out` },
    ]]),
  ];
}

function queueLines(
  { queue }: TopFrame,
  { paint }: RenderTopOptions,
): readonly (readonly Cell[])[] {
  const { in_flight, max_running, queued, mode, ready, reasons } = queue;
  const share = max_running === 0 ? 0 : in_flight / max_running;
  const line: readonly Cell[] = [
    label("Queue", paint),
    { text: bar(share, BAR_WIDTH), paint: (text) => paint("busy", text) },
    { text: ` ${`${in_flight}/${max_running}`.padStart(6)}  ${queued} queued` },
    ...(mode === "open"
      ? []
      : [{ text: `  ${mode}`, paint: (text: string) => paint("warn", text) }]),
  ];
  return [
    line,
    ...(ready ? [] : reasons).map((reason): readonly Cell[] => [
      { text: `! ${oneLine(reason)}`, paint: (text) => paint("bad", text) },
    ]),
  ];
}

function projectLines(
  { projects }: TopFrame,
  { columns, paint }: RenderTopOptions,
): Promise<readonly string[]> {
  const busy = projects.toSorted((one, other) =>
    other.running - one.running || other.queued - one.queued
  );
  return renderTable({
    columns: [
      { title: "PROJECT", flexible: true },
      { title: "MODE" },
      { title: "RUNNING", align: "right" },
      { title: "QUEUED", align: "right" },
      { title: "CPUS", align: "right" },
      { title: "MEMORY", align: "right" },
      { title: "LIMIT", align: "right" },
      { title: "TASKS", align: "right" },
      { title: "OOM", align: "right" },
    ],
    rows: busy.slice(0, 10).map((each) => [
      oneLine(each.project),
      { text: each.mode, paint: (text) => each.mode === "open" ? text : paint("warn", text) },
      `${each.running}/${each.max_running}`,
      String(each.queued),
      decimal(each.cpus),
      sized(each.memory_bytes),
      sized(each.memory_limit_bytes),
      each.tasks === null ? "-" : String(each.tasks),
      {
        text: each.oom_kills === null ? "-" : String(each.oom_kills),
        paint: (text) => (each.oom_kills ?? 0) > 0 ? paint("bad", text) : text,
      },
    ]),
    width: columns,
    paintTitle: (text) => paint("faint", text),
  });
}

function jobLines(
  frame: TopFrame,
  { columns, paint, history, jobs, now }: RenderTopOptions,
): Promise<readonly string[]> {
  const byId = new Map(jobs.map((job) => [job.id, job]));
  const cpus = frame.host.cpus ?? 1;
  return renderTable({
    columns: [
      { title: "JOB" },
      { title: "PROJECT", flexible: true },
      { title: "STATE" },
      { title: "CPUS", align: "right" },
      { title: "" },
      { title: "MEMORY", align: "right" },
      { title: "LIMIT", align: "right" },
      { title: "TIME", align: "right" },
      { title: "RUNS", flexible: true },
    ],
    rows: frame.jobs.map((each) => {
      const job = byId.get(each.id);
      const scale = each.cpu_limit ?? cpus;
      const shares = (history.jobs.get(each.id) ?? []).map((used) =>
        used === undefined ? undefined : used / scale
      );
      const full = each.memory_bytes !== null && each.memory_limit_bytes !== null
        ? each.memory_bytes / each.memory_limit_bytes
        : 0;
      return [
        each.id.slice(0, 13),
        oneLine(each.project),
        { text: each.state, paint: (text) => paint(stateColour(each.state), text) },
        each.cpu_limit === null
          ? decimal(each.cpus)
          : `${decimal(each.cpus)}/${decimal(each.cpu_limit)}`,
        {
          text: sparkline(shares, JOB_SPARK_WIDTH).padStart(JOB_SPARK_WIDTH),
          paint: (text) => paint("busy", text),
        },
        { text: sized(each.memory_bytes), paint: (text) => painted(full, text, paint) },
        sized(each.memory_limit_bytes),
        job === undefined ? "" : runTime(job, now),
        job === undefined ? "" : workOf(job),
      ];
    }),
    width: columns,
    paintTitle: (text) => paint("faint", text),
  });
}

function queuedLines(
  { queued, columns, now }: RenderTopOptions,
): Promise<readonly string[]> {
  return renderTable({
    columns: [
      { title: "JOB" },
      { title: "PROJECT", flexible: true },
      { title: "WAITS", align: "right" },
      { title: "FOR", flexible: true },
      { title: "RUNS", flexible: true },
    ],
    rows: queued.map((job) => [
      job.id.slice(0, 13),
      oneLine(job.project),
      formatDuration(Math.max(0, now - Date.parse(job.created_at))),
      oneLine(job.waiting ?? "its turn"),
      workOf(job),
    ]),
    width: columns,
  });
}

function gauge(
  name: string,
  share: number | null,
  figure: string,
  paint: Painter,
  rest: readonly Cell[],
): readonly Cell[] {
  const filled = share ?? 0;
  return [
    label(name, paint),
    { text: bar(filled, BAR_WIDTH), paint: (text) => painted(filled, text, paint) },
    { text: ` ${figure}` },
    ...rest,
  ];
}

function label(name: string, paint: Painter): Cell {
  return { text: name.padEnd(8), paint: (text) => paint("faint", text) };
}

function painted(share: number, text: string, paint: Painter): string {
  return paint(share < 0.7 ? "good" : share < 0.9 ? "warn" : "bad", text);
}

function percent(share: number | null): string {
  return (share === null ? "-" : `${(share * 100).toFixed(1)}%`).padStart(6);
}

function decimal(value: number | null): string {
  return value === null ? "-" : value.toFixed(2);
}

function sized(bytes: number | null): string {
  return bytes === null ? "-" : formatSize(bytes);
}

/** Cuts cells off at the width, before they are painted. */
function clipped(cells: readonly Cell[], width: number): string {
  let left = width;
  return cells.map(({ text, paint }) => {
    const kept = [...text].slice(0, left).join("");
    left -= [...kept].length;
    return kept === "" ? "" : paint?.(kept) ?? kept;
  }).join("");
}
