/**
 * Selects artifacts, and downloads each in one piece.
 *
 * @module
 */
import { counted } from "@lib/core/count.ts";
import { createHash } from "node:crypto";
import { CicdError } from "@lib/core/errors.ts";
import { formatSize } from "@lib/core/size.ts";
import {
  type Directory,
  NotADirectoryError,
  openDirectory,
} from "@lib/foundations/files/directory.ts";
import { compileGlobs, globProblem } from "@lib/foundations/files/glob.ts";
import { insidePathProblem, openParent } from "@lib/foundations/files/inside.ts";
import type { CliContext } from "@lib/api/client/context.ts";
import { oneLine } from "@lib/api/client/format.ts";
import type { RunnerTransport } from "@lib/api/client/transport.ts";
import {
  type ArtifactAnswer,
  type ArtifactsAnswer,
  openArtifact,
} from "@lib/features/artifacts/client.ts";

/** Returns a filter by globs. @throws {CicdError} `usage` if one is invalid. */
export function filterOf(globs: readonly string[]): (path: string) => boolean {
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

/** Writes the listed files below a directory, which is made if necessary. */
export async function downloadAll(
  { out, signal }: CliContext,
  runner: RunnerTransport,
  { list, directory }: { readonly list: ArtifactsAnswer; readonly directory: string },
): Promise<void> {
  await Deno.mkdir(directory, { recursive: true });
  // The directory that the user names may be a symlink.
  using top = openDirectory(await Deno.realPath(directory));
  const { job: id, attempt, files } = list;
  let bytes = 0;
  for (const [index, file] of files.entries()) {
    out.note(`${index + 1}/${files.length} ${oneLine(file.path)} (${formatSize(file.bytes)})`);
    using response = await openArtifact(runner, { id, attempt, path: file.path }, signal);
    await writeChecked(top, file, response.body);
    bytes += file.bytes;
  }
  out.note(`downloaded ${counted(files.length, "file")} (${formatSize(bytes)}) to ${directory}`);
}

/**
 * Writes a download below `top`; an existing file is replaced once the new one is complete.
 *
 * @throws {CicdError} `io_failed` if the bytes differ from the list, or the path is taken.
 */
async function writeChecked(
  top: Directory,
  { path, bytes, sha256, executable }: ArtifactAnswer,
  body: AsyncIterable<Uint8Array>,
): Promise<void> {
  const problem = insidePathProblem(path);
  const shown = JSON.stringify(path);
  if (problem !== undefined) throw failed(`the path ${shown} ${problem}`);
  try {
    const { directory, name } = openParent(top, path);
    using parent = directory;
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
    if (parent.look(name) === "directory") {
      parent.remove(draft);
      throw failed(`${shown} is a directory here`);
    }
    parent.take(name, parent, draft);
  } catch (error) {
    if (!(error instanceof NotADirectoryError)) throw error;
    throw failed(`${shown} needs a directory where a symlink or a file is`, error);
  }
}

function failed(why: string, cause?: unknown): CicdError {
  return new CicdError("io_failed", `Cannot write the download: ${why}`, { cause });
}
