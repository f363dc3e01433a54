/**
 * An attempt's directory on disk with a workspace, for steps.
 *
 * @module
 */
import { newJobId } from "@lib/core/ids.ts";
import {
  type AttemptDirectory,
  attemptDirectory,
  type AttemptRef,
} from "@lib/spine/jobs/attempt_directory.ts";
import type { JobSpec } from "@lib/spine/spec/job_spec.ts";
import type { FinishContext, SetupContext } from "@lib/spine/jobs/step.ts";
import { removeTree } from "@lib/foundations/process/remove_tree.ts";
import { makeSpec, projectName } from "./job_fixtures.ts";

/** A state directory with one attempt. */
export interface Workspace extends AsyncDisposable {
  readonly stateDir: string;
  readonly ref: AttemptRef;
  readonly directory: AttemptDirectory;
  /** Lines logged before the job. */
  readonly said: string[];
  /** Writes a file below the workspace. */
  write(path: string, text: string): Promise<void>;
  /** The input of a step. */
  context(spec: Partial<JobSpec>): SetupContext & FinishContext;
  /** A further attempt with an empty workspace. */
  next(): Promise<Workspace>;
}

/** Makes it, on the disk of temporary files. */
export async function openWorkspace(): Promise<Workspace> {
  return await attemptIn(await Deno.makeTempDir({ prefix: "cicd-workspace-" }));
}

async function attemptIn(stateDir: string): Promise<Workspace> {
  const ref = { project: projectName(), jobId: newJobId(), number: 1 };
  const directory = attemptDirectory(stateDir, ref);
  await Deno.mkdir(directory.workspace, { recursive: true, mode: 0o700 });
  const said: string[] = [];
  return {
    stateDir,
    ref,
    directory,
    said,
    async write(path, text) {
      const full = `${directory.workspace}/${path}`;
      await Deno.mkdir(full.slice(0, full.lastIndexOf("/")), { recursive: true });
      await Deno.writeTextFile(full, text);
    },
    context: (spec) => ({
      ref,
      spec: makeSpec(spec),
      directory,
      secrets: new Map(),
      mask: (text) => text,
      say: (line) => void said.push(line),
      setEnv() {},
      setCommit() {},
    }),
    next: () => attemptIn(stateDir),
    [Symbol.asyncDispose]: () => removeTree(stateDir),
  };
}
