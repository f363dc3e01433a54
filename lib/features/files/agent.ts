/**
 * Files from a job's request in the agent: writes them into the workspace.
 *
 * @module
 */
import { counted } from "@lib/core/count.ts";
import { Buffer } from "node:buffer";
import type { AgentPart } from "@lib/api/feature.ts";
import { type AttemptStep, type SetupContext, StepFailure } from "@lib/spine/jobs/step.ts";

/** Makes the part. */
export function part(): AgentPart {
  return { steps: [filesStep()] };
}

/**
 * Makes the step that writes `spec.files` after the checkout.
 *
 * It replaces a file or link from the checkout; a link instead of a directory on the path fails the
 * job, as the file would end up somewhere else.
 */
export function filesStep(): AttemptStep {
  return {
    name: "files",
    doing: "writing the files of the request",
    needed: ({ files = [] }) => files.length > 0,
    before: writeFiles,
  };
}

async function writeFiles(
  { spec: { files = [] }, directory, say }: SetupContext,
  signal: AbortSignal,
): Promise<void> {
  const { NotADirectoryError, openDirectory } = await import(
    "@lib/foundations/files/directory.ts"
  );
  const { openParent, writeInside } = await import("@lib/foundations/files/inside.ts");
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
        `Cannot write the file "${path}": a link or another non-directory from the checkout is in ` +
          "its way",
        { cause: error },
      );
    }
  }
  say(`Wrote ${counted(files.length, "file")} of the request`);
}
