/**
 * Files that a job's request brings along, put into its workspace.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { NotADirectoryError, openDirectory } from "@lib/foundations/files/directory.ts";
import { openParent, writeInside } from "@lib/foundations/files/inside.ts";
import { type AttemptStep, type SetupContext, StepFailure } from "@lib/spine/jobs/step.ts";

/**
 * Makes the step that writes `spec.files` after the checkout.
 *
 * A file or link that the checkout brought is replaced; a link where a directory of the path must
 * be fails the job, as the file would end up somewhere else.
 */
export function filesStep(): AttemptStep {
  return {
    name: "files",
    needed: ({ files = [] }) => files.length > 0,
    before: writeFiles,
  };
}

async function writeFiles(
  { spec: { files = [] }, directory, say }: SetupContext,
  signal: AbortSignal,
): Promise<void> {
  using workspace = openDirectory(directory.workspace);
  for (const { path, content, executable } of files) {
    signal.throwIfAborted();
    try {
      if (path.endsWith("/")) {
        const { directory: outer, name } = openParent(workspace, path);
        using parent = outer;
        using _made = parent.makeDirectory(name);
      } else {
        const bytes = Buffer.from(content, "base64");
        await writeInside(workspace, path, { bytes, mode: executable ? 0o755 : 0o644 });
      }
    } catch (error) {
      if (!(error instanceof NotADirectoryError)) throw error;
      throw new StepFailure(
        "checkout_failed",
        `Cannot write the file "${path}": a link, or something that is no directory, is in its way; ` +
          "the checkout brought it",
        { cause: error },
      );
    }
  }
  say(`Wrote ${files.length} ${files.length === 1 ? "file" : "files"} of the request`);
}
