/**
 * The results in the documentation: what a run measured, between marks.
 *
 * @module
 */
import type { HostBanner } from "./host.ts";
import { plotRatios } from "./plot.ts";
import { ROW_NAMES, TIMELINE_ROW_NAME } from "./rows.ts";
import { renderResults, type RunReport } from "./table.ts";
import { drawTimeline } from "./timeline/draw.ts";
import { renderTimeline } from "./timeline/render.ts";

/** A file to be written, below the root. */
export interface DocumentFile {
  readonly path: string;
  readonly text: string;
}

const DOCUMENT = "docs/benchmarks.md";
const PLOT = "docs/img/benchmarks.svg";

/**
 * Puts a run into the document: the table if all its rows were measured, and the timelines if
 * there are some.
 *
 * @throws {TypeError} If the run has neither, or the document no marks.
 */
export function updateDocument(document: string, report: RunReport): readonly DocumentFile[] {
  const { host, names, rows, timelines } = report;
  const files: DocumentFile[] = [];
  let text = document;
  if (ROW_NAMES.every((name) => name === TIMELINE_ROW_NAME || names.includes(name))) {
    text = replaceBlock(text, "results", renderResults({ ...report, timelines: [] }));
    const when = `${host.date?.slice(0, 10)}, ${host.cpus}`;
    const caption = `How many times better than its peer, same run, medians (${when})`;
    files.push({ path: PLOT, text: plotRatios(rows, caption) });
  }
  if (timelines.length > 0) {
    const jobs = timelines.map((timeline) =>
      `### A ${timeline.name}\n\n![${timeline.name}](${imageOf(timeline.name)})\n\n` +
      renderTimeline(timeline)
    );
    text = replaceBlock(text, "timelines", [circumstances(host), ...jobs].join("\n"));
    for (const timeline of timelines) {
      files.push({ path: `docs/${imageOf(timeline.name)}`, text: drawTimeline(timeline) });
    }
  }
  if (files.length === 0) {
    throw new TypeError("Cannot write a run without all rows or timelines into the documentation");
  }
  return [{ path: DOCUMENT, text }, ...files];
}

/** Reads the document and writes it and its pictures. */
export async function writeDocument(root: string, report: RunReport): Promise<void> {
  const before = await Deno.readTextFile(`${root}/${DOCUMENT}`);
  for (const { path, text } of updateDocument(before, report)) {
    await Deno.writeTextFile(`${root}/${path}`, text);
  }
  const { success } = await new Deno.Command(Deno.execPath(), {
    args: ["fmt", "--quiet", DOCUMENT],
    cwd: root,
  }).output();
  if (!success) throw new Error(`Cannot format ${DOCUMENT}`);
}

/** The timelines may be of another run than the table. */
function circumstances({ date, commit, cpus, load_before, load_after }: HostBanner): string {
  return `Measured on ${date?.slice(0, 10)} with ${commit} on ${cpus}; load averages ` +
    `${load_before} before and ${load_after} after.\n`;
}

function imageOf(name: string): string {
  return `img/timeline-${name.split(" ", 1)[0]}.svg`;
}

function replaceBlock(document: string, name: string, block: string): string {
  const marks = new RegExp(`(<!-- Generated ${name}:[^\\n]*\\n)[\\s\\S]*?(<!-- End of ${name})`);
  if (!marks.test(document)) throw new TypeError(`${DOCUMENT} has no marks for its ${name}`);
  return document.replace(marks, (_, begin, end) => `${begin}\n${block}\n${end}`);
}
