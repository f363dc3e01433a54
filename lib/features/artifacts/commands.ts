/**
 * The command `artifacts`.
 *
 * @module
 */
import { counted } from "@lib/core/count.ts";
import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { multiple, optional } from "@optique/core/modifiers";
import { argument, option } from "@optique/core/primitives";
import { string } from "@optique/core/valueparser";
import { formatSize } from "@lib/core/size.ts";
import { type Command, defineCommand } from "@lib/api/client/command.ts";
import type { CliContext } from "@lib/api/client/context.ts";
import { oneLine, type Painter } from "@lib/api/client/format.ts";
import { jobIdOf } from "@lib/api/client/jobs.ts";
import { type ArtifactsAnswer, listArtifacts } from "@lib/features/artifacts/client.ts";
import { filePath, jobArgument, wholeNumber } from "@lib/foundations/cli/grammar_values.ts";
import { renderTable } from "@lib/foundations/cli/table.ts";

const artifacts = defineCommand({
  name: "artifacts",
  listedAfter: "events",
  brief: message`List or download the artifacts of a job`,
  description: message`Downloaded files are checked against their SHA-256. Files of the same name
are replaced; symlinks on the way are not followed.`,
  examples: [
    "cicd-runner artifacts 0192f3a4",
    "cicd-runner artifacts 0192f3a4 --download out 'dist/**/*.tgz'",
  ],
  flags: (completer) =>
    object({
      id: jobArgument(completer),
      globs: multiple(argument(string({ metavar: "GLOB" }), {
        description: message`Only these; a glob that begins with ! excludes`,
      })),
      download: optional(option("-d", "--download", filePath("PATH"), {
        description: message`Write the files into this directory, which is made if necessary`,
      })),
      attempt: optional(option("--attempt", wholeNumber("NUMBER", 1), {
        description: message`The artifacts of an earlier attempt`,
      })),
    }),
  async run({ id, attempt, globs, download }, context) {
    const { downloadAll, filterOf } = await import("@lib/features/artifacts/download.ts");
    const { out, flags, paint, signal } = context;
    const isWanted = filterOf(globs);
    using runner = await context.connect();
    const of = {
      id: await jobIdOf(runner, id, signal),
      ...(attempt === undefined ? {} : { attempt }),
    };
    const all = await listArtifacts(runner, of, signal);
    const list = { ...all, files: all.files.filter(({ path }) => isWanted(path)) };
    if (download !== undefined) await downloadAll(context, runner, { list, directory: download });
    if (flags.json) await out.json(list);
    else if (download === undefined) {
      if (list.files.length === 0) out.note(whyNone(all));
      else for (const line of await renderList(list, paint)) await out.line(line);
    }
    noteMissing(context, list);
    return 0;
  },
});

/** The command `artifacts`. */
export const commands: readonly Command[] = [artifacts];

/** Renders a list, a line each. */
function renderList({ files }: ArtifactsAnswer, paint: Painter): Promise<readonly string[]> {
  return renderTable({
    columns: [{ title: "SIZE", align: "right" }, { title: "SHA-256" }, { title: "PATH" }],
    rows: files.map(({ path, bytes, sha256 }) => [
      formatSize(bytes),
      sha256.slice(0, 12),
      oneLine(path),
    ]),
    paintTitle: (text) => paint("faint", text),
  });
}

function whyNone({ complete, files }: ArtifactsAnswer): string {
  if (files.length > 0) return "no artifact matches";
  return complete ? "there are no artifacts" : "there are no artifacts, or not yet";
}

function noteMissing({ out }: CliContext, list: ArtifactsAnswer): void {
  for (const { path, why } of list.left_out) out.note(`left out: ${oneLine(path)} ${oneLine(why)}`);
  const more = list.left_out_count - list.left_out.length;
  if (more > 0) out.note(`left out: ${more} more`);
  for (const glob of list.unmatched) out.note(`no file was found for ${oneLine(glob)}`);
  if (list.uploaded !== null) {
    const { to, files, missing, problem } = list.uploaded;
    out.note(
      `uploaded to ${to}: ${counted(files, "file")}${missing === 0 ? "" : `; ${missing} missing`}`,
    );
    if (problem !== null) out.note(`not uploaded: ${oneLine(problem)}`);
  }
}
