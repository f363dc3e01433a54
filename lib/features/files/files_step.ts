/**
 * Files that a job's request brings along, put into its workspace.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { NotAFolderError, openFolder } from "@lib/foundations/files/folder.ts";
import { openParent, writeInside } from "@lib/foundations/files/inside.ts";
import { type AttemptStep, type SetupContext, StepFailure } from "@lib/spine/jobs/step.ts";

/**
 * Makes the step that writes `spec.files` after the checkout.
 *
 * A file or link that the checkout brought is replaced; a link where a folder of the path must be
 * fails the job, as the file would end up somewhere else.
 */
export function filesStep(): AttemptStep {
  return {
    name: "files",
    needed: ({ files = [] }) => files.length > 0,
    before: writeFiles,
  };
}

async function writeFiles(
  { spec: { files = [] }, folder, say }: SetupContext,
  signal: AbortSignal,
): Promise<void> {
  using workspace = openFolder(folder.workspace);
  for (const { path, content, executable } of files) {
    signal.throwIfAborted();
    try {
      if (path.endsWith("/")) {
        const { folder: outer, name } = openParent(workspace, path);
        using parent = outer;
        using _made = parent.makeFolder(name);
      } else {
        const bytes = Buffer.from(content, "base64");
        await writeInside(workspace, path, { bytes, mode: executable ? 0o755 : 0o644 });
      }
    } catch (error) {
      if (!(error instanceof NotAFolderError)) throw error;
      throw new StepFailure(
        "checkout_failed",
        `Cannot write the file "${path}": a link, or something that is no folder, is in its way; ` +
          "the checkout brought it",
        { cause: error },
      );
    }
  }
  say(`Wrote ${files.length} ${files.length === 1 ? "file" : "files"} of the request`);
}
