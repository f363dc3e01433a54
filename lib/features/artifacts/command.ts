/**
 * `artifacts`.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { CicdError } from "@lib/core/errors.ts";
import { formatSize } from "@lib/core/size.ts";
import { type Folder, NotAFolderError, openFolder } from "@lib/foundations/files/folder.ts";
import { compileGlobs, globProblem } from "@lib/foundations/files/glob.ts";
import { insidePathProblem, openParent } from "@lib/foundations/files/inside.ts";
import type { ArtifactAnswer, ArtifactsAnswer } from "@lib/features/artifacts/client.ts";
import type { RunnerClient } from "@lib/features/jobs/client/runner_client.ts";
import type { CliContext } from "@lib/api/client/context.ts";
import { oneLine, type Painter } from "@lib/api/client/format.ts";
import type { InvocationOf } from "../../../cmd/runner/commands/grammar.ts";
import { renderTable } from "@lib/foundations/cli/table.ts";

/** Lists the artifacts of a job, or downloads them. */
export async function artifacts(
  invocation: InvocationOf<"artifacts">,
  context: CliContext,
): Promise<number> {
  const { id, attempt, globs, download } = invocation;
  const { out, flags, paint, signal } = context;
  const isWanted = filterOf(globs);
  using client = await context.connect();
  const of = { id, ...(attempt === undefined ? {} : { attempt }) };
  const all = await client.artifacts(of, signal);
  const list = { ...all, files: all.files.filter(({ path }) => isWanted(path)) };
  if (download !== undefined) await downloadAll(context, client, { list, folder: download });
  if (flags.json) await out.json(list);
  else if (download === undefined) {
    if (list.files.length === 0) out.note(whyNone(all));
    else for (const line of renderList(list, paint)) await out.line(line);
  }
  tellWhatIsMissing(context, list);
  return 0;
}

function filterOf(globs: readonly string[]): (path: string) => boolean {
  for (const glob of globs) {
    const problem = globProblem(glob);
    if (problem !== undefined) {
      throw new CicdError("usage", `Cannot read the glob ${JSON.stringify(glob)}: it ${problem}`);
    }
  }
  const isTaking = globs.some((glob) => !glob.startsWith("!"));
  const set = compileGlobs(isTaking ? globs : ["**/*", "**/.*", ...globs]);
  return (path) => {
    let state = set.root;
    for (const name of path.split("/")) state = set.enter(state, name);
    return state.takenBy.size > 0 && !state.isExcluded;
  };
}

/** Renders a list, a line each. */
export function renderList({ files }: ArtifactsAnswer, paint: Painter): readonly string[] {
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

function tellWhatIsMissing({ out }: CliContext, list: ArtifactsAnswer): void {
  for (const { path, why } of list.left_out) out.note(`left out: ${oneLine(path)} ${oneLine(why)}`);
  const more = list.left_out_count - list.left_out.length;
  if (more > 0) out.note(`left out: ${more} more`);
  for (const glob of list.unmatched) out.note(`no file was found for ${oneLine(glob)}`);
  if (list.uploaded !== null) {
    const { to, files, missing, problem } = list.uploaded;
    out.note(`uploaded to ${to}: ${files} files${missing === 0 ? "" : `; ${missing} are missing`}`);
    if (problem !== null) out.note(`not uploaded: ${oneLine(problem)}`);
  }
}

interface Download {
  readonly list: ArtifactsAnswer;
  readonly folder: string;
}

async function downloadAll(
  { out, signal }: CliContext,
  client: RunnerClient,
  { list, folder }: Download,
): Promise<void> {
  await Deno.mkdir(folder, { recursive: true });
  // A link to a folder is fine for the one that the user names.
  using top = openFolder(await Deno.realPath(folder));
  const { job: id, attempt, files } = list;
  let bytes = 0;
  for (const [index, file] of files.entries()) {
    out.note(`${index + 1}/${files.length} ${oneLine(file.path)} (${formatSize(file.bytes)})`);
    using response = await client.openArtifact({ id, attempt, path: file.path }, signal);
    await writeChecked(top, file, response.body);
    bytes += file.bytes;
  }
  out.note(`${files.length} files, ${formatSize(bytes)}, are in ${folder}`);
}

/**
 * Writes a download below `top`; a file of the name is replaced once the new one is whole.
 *
 * @throws {CicdError} `io_failed` if the bytes are not those that were listed, or the path is taken.
 */
export async function writeChecked(
  top: Folder,
  { path, bytes, sha256, executable }: ArtifactAnswer,
  body: AsyncIterable<Uint8Array>,
): Promise<void> {
  const problem = insidePathProblem(path);
  const shown = JSON.stringify(path);
  if (problem !== undefined) throw failed(`the path ${shown} ${problem}`);
  try {
    const { folder, name } = openParent(top, path);
    using parent = folder;
    const draft = `.cicd-download-${crypto.randomUUID()}`;
    const hash = createHash("sha256");
    const hashed = async function* () {
      for await (const chunk of body) {
        hash.update(chunk);
        yield chunk;
      }
    };
    const written = await parent.writeFile(draft, hashed(), executable ? 0o755 : 0o644);
    if (written !== bytes || hash.digest("hex") !== sha256) {
      parent.remove(draft);
      throw failed(`${shown} arrived damaged; try again`);
    }
    if (parent.look(name) === "folder") {
      parent.remove(draft);
      throw failed(`${shown} is a folder here`);
    }
    parent.take(name, parent, draft);
  } catch (error) {
    if (!(error instanceof NotAFolderError)) throw error;
    throw failed(`a link or a file is where ${shown} needs a folder`, error);
  }
}

function failed(why: string, cause?: unknown): CicdError {
  return new CicdError("io_failed", `Cannot write the download: ${why}`, { cause });
}
