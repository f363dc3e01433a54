/**
 * Jobs as text for people: words, lines and a table.
 *
 * @module
 */
import { formatDuration } from "@lib/core/duration.ts";
import { formatSize } from "@lib/core/size.ts";
import { type JobAnswer, specOf } from "@lib/api/client/jobs.ts";
import { renderTable } from "@lib/foundations/cli/table.ts";

/** Colours a text, or returns it as it is. */
export type Painter = (colour: Colour, text: string) => string;

/** The meaning of a colour. */
export type Colour = "good" | "bad" | "warn" | "busy" | "faint" | "strong";

const CODES: Readonly<Record<Colour, string>> = {
  good: "32",
  bad: "31",
  warn: "33",
  busy: "36",
  faint: "2",
  strong: "1",
};

/** Makes a painter; without colour, texts stay as they are. */
export function painter(isColoured: boolean): Painter {
  return (colour, text) =>
    isColoured && text !== "" ? `\x1b[${CODES[colour]}m${text}\x1b[0m` : text;
}

/** Returns the colour of a state. */
export function stateColour(state: string): Colour {
  switch (state) {
    case "succeeded":
      return "good";
    case "failed":
    case "timed_out":
    case "lost":
      return "bad";
    case "cancelled":
      return "warn";
    case "starting":
    case "running":
      return "busy";
    default:
      return "faint";
  }
}

/** Returns the age of a time, such as `5m ago`. */
export function ago(time: string, now: number): string {
  const ms = now - Date.parse(time);
  if (Number.isNaN(ms)) return "";
  return ms < 1_000 ? "now" : `${coarse(ms)} ago`;
}

/** Returns the time a job ran, or has run so far; empty before it ran. */
export function runTime(
  { started_at, finished_at, usage }: Pick<JobAnswer, "started_at" | "finished_at" | "usage">,
  now: number,
): string {
  if (finished_at !== null && usage.wall_seconds !== null) {
    return formatDuration(usage.wall_seconds * 1_000);
  }
  if (started_at === null) return "";
  const end = finished_at === null ? now : Date.parse(finished_at);
  return coarse(Math.max(0, end - Date.parse(started_at)));
}

/** Returns the reason of a job's state, in a few words. */
export function outcome(
  job: Pick<JobAnswer, "state" | "reason" | "exit_code" | "signal" | "cancelling">,
): string {
  if (job.cancelling) return "cancelling";
  switch (job.reason) {
    case null:
      return "";
    case "exit_code":
      return job.exit_code === null || job.state === "succeeded" ? "" : `exit ${job.exit_code}`;
    case "signal":
      return job.signal ?? "signal";
    case "timeout":
    case "cancelled":
      return "";
    default:
      return job.reason.replaceAll("_", " ");
  }
}

/** Returns the command of a job, or the first line of its script. */
export function workOf(job: Pick<JobAnswer, "spec">): string {
  const spec = specOf(job);
  if (spec.command !== undefined) return oneLine(spec.command.map(quoteWord).join(" "));
  const lines = (spec.script ?? "").split("\n").map((line) => line.trim());
  return oneLine(lines.find((line) => line !== "" && !line.startsWith("#")) ?? "");
}

/** Returns the last line about a job: state, reason and usage. */
export function resultLine(job: JobAnswer): string {
  const { usage, exit_code, signal } = job;
  const facts = [
    exit_code !== null ? `exit code ${exit_code}` : signal !== null ? `signal ${signal}` : "",
    usage.wall_seconds === null ? "" : `${formatDuration(usage.wall_seconds * 1_000)} wall`,
    usage.cpu_seconds === null ? "" : `${formatDuration(usage.cpu_seconds * 1_000)} CPU`,
    usage.memory_peak_bytes === null ? "" : `${formatSize(usage.memory_peak_bytes)} memory peak`,
  ].filter((fact) => fact !== "");
  // The code alone is no reason beside the code.
  const isSaid = job.state === "succeeded" || job.message === `Exited with code ${exit_code}`;
  const why = isSaid || job.message === null ? "" : `: ${oneLine(job.message)}`;
  const used = facts.length === 0 ? "" : ` (${facts.join(", ")})`;
  return `job ${job.id} ${job.state.replaceAll("_", " ")}${used}${why}`;
}

/** Returns a text on one line, without what controls a terminal or the direction of its text. */
export function oneLine(text: string): string {
  return text.replace(/\s*[\r\n\u2028\u2029]\s*/g, " ")
    .replace(/[\p{Cc}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu, "\u{fffd}");
}

/** Quotes a word for a shell, if it needs that. */
export function quoteWord(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

function coarse(ms: number): string {
  if (ms < 60_000) return `${Math.floor(ms / 1_000)}s`;
  return formatDuration(Math.floor(ms / 60_000) * 60_000);
}

/** Renders jobs as a table with titles; without a width, nothing is shortened. */
export function renderJobs(
  jobs: readonly JobAnswer[],
  { now, paint, width }: {
    readonly now: number;
    readonly paint: Painter;
    readonly width?: number | undefined;
  },
): Promise<readonly string[]> {
  const idLength = width === undefined ? ID_LENGTH : shortIdLength(jobs.map(({ id }) => id));
  return renderTable({
    columns: [
      { title: "ID" },
      { title: "PROJECT", flexible: true },
      { title: "STATE" },
      { title: "WHY", flexible: true },
      { title: "AGE" },
      { title: "TIME", align: "right" },
      { title: "RUNS", flexible: true },
    ],
    rows: jobs.map((job) => [
      job.id.slice(0, idLength),
      job.project,
      { text: job.state, paint: (text) => paint(stateColour(job.state), text) },
      whyOf(job),
      ago(job.created_at, now),
      runTime(job, now),
      workOf(job),
    ]),
    width,
    paintTitle: (text) => paint("faint", text),
  });
}

function whyOf(job: JobAnswer): string {
  const why = outcome(job) || oneLine(job.waiting ?? "");
  return job.held_until == null ? why : why === "" ? "held" : `${why}, held`;
}

const ID_LENGTH = 36;

/** Returns the shortest length at which the ids differ; 11 characters hold a quarter of a second. */
function shortIdLength(ids: readonly string[]): number {
  for (let length = 11; length < ID_LENGTH; length++) {
    if (new Set(ids.map((id) => id.slice(0, length))).size === ids.length) return length;
  }
  return ID_LENGTH;
}
