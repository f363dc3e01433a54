/**
 * Keeps artifacts after a job: the step `artifacts`.
 *
 * @module
 */
import { ignore, messageOf } from "@lib/core/errors.ts";
import { statIfThere } from "@lib/foundations/files/records.ts";
import type { ArtifactSpec } from "@lib/spine/spec/job_spec.ts";
import type { AttemptOutcome } from "@lib/spine/jobs/model.ts";
import type { AttemptStep, FinishContext } from "@lib/spine/jobs/step.ts";
import { removeTree } from "@lib/foundations/process/remove_tree.ts";
import {
  type ArtifactList,
  maskedResult,
  readArtifactList,
  type UploadResult,
  writeArtifactList,
} from "@lib/features/artifacts/artifact_list.ts";
import { collect } from "@lib/features/artifacts/collect.ts";

/** Uploads the artifacts; throws nothing but the signal's reason. */
export type UploadArtifacts = (
  context: FinishContext,
  list: ArtifactList,
  signal: AbortSignal,
) => Promise<UploadResult>;

/** Options for {@linkcode artifactStep}. */
interface ArtifactStepOptions {
  /** Read for each job, so that a reloaded configuration applies. */
  readonly limits: () => { readonly maxBytes: number; readonly maxFiles: number };
  /** Returns `undefined` if no storage is configured. */
  readonly upload: () => UploadArtifacts | undefined;
}

/**
 * Returns the step.
 *
 * It starts over after a crash, and does nothing once the list is written. Failures are reported and
 * do not change how the job ended.
 */
export function artifactStep(options: ArtifactStepOptions): AttemptStep {
  return {
    name: "artifacts",
    needed: ({ artifacts }) => artifacts !== undefined,
    after: (context, outcome, signal) => keepArtifacts(context, outcome, { ...options, signal }),
  };
}

async function keepArtifacts(
  context: FinishContext,
  outcome: AttemptOutcome,
  { limits, upload, signal }: ArtifactStepOptions & { readonly signal: AbortSignal },
): Promise<readonly string[]> {
  const { spec: { artifacts }, directory, mask } = context;
  if (artifacts === undefined || !isWanted(artifacts, outcome)) return [];
  let isKept = true;
  try {
    let list = await readArtifactList(directory.artifactList);
    if (list === undefined) {
      isKept = false;
      if (await statIfThere(directory.workspace) === undefined) return [];
      await removeTree(directory.artifacts);
      await Deno.mkdir(directory.artifacts, { mode: 0o700 });
      list = await collect({
        workspace: directory.workspace,
        target: directory.artifacts,
        globs: artifacts.paths,
        mask,
        ...limits(),
      }, signal);
      await writeArtifactList(directory.artifactList, list);
      isKept = true;
    }
    const send = upload();
    if (send !== undefined && list.uploaded === undefined && list.files.length > 0) {
      list = maskedResult({ ...list, uploaded: await send(context, list, signal) }, mask);
      await writeArtifactList(directory.artifactList, list);
    }
    return sentences(list);
  } catch (error) {
    signal.throwIfAborted();
    // Without a list they cannot be found, and they may fill the disk.
    if (!isKept) await removeTree(directory.artifacts).catch(ignore("retention removes it later"));
    return [`The artifacts could not be kept: ${messageOf(error)}`];
  }
}

function isWanted({ when }: ArtifactSpec, { state }: AttemptOutcome): boolean {
  switch (when) {
    case "success":
      return state === "succeeded";
    case "failure":
      return state !== "succeeded";
    case "always":
      return true;
  }
}

/** Describes what was left out, not matched or not uploaded. */
function sentences(list: ArtifactList): readonly string[] {
  const { left_out: leftOut, left_out_count: count, unmatched, uploaded } = list;
  const reports: string[] = [];
  if (unmatched.length > 0) {
    reports.push(`No file was found for ${enumeration(unmatched.map(quoted), unmatched.length)}`);
  }
  if (count > 0) {
    const reasons = leftOut.map(({ path, why }) => `${quoted(path)} ${why}`);
    reports.push(
      `${count} ${count === 1 ? "file was" : "files were"} left out of the artifacts: ` +
        enumeration(reasons, count),
    );
  }
  if (uploaded?.problem !== undefined) {
    reports.push(
      `${uploaded.missing} of ${list.files.length} artifacts were not uploaded: ` +
        uploaded.problem,
    );
  }
  if (uploaded?.retried !== undefined) {
    reports.push(`The upload of the artifacts took ${uploaded.retried}`);
  }
  return reports;
}

const SHOWN = 3;

function enumeration(parts: readonly string[], count: number): string {
  const first = parts.slice(0, SHOWN).join(", ");
  return count > SHOWN ? `${first} and ${count - Math.min(SHOWN, parts.length)} more` : first;
}

function quoted(text: string): string {
  return `"${text.length > 80 ? `${text.slice(0, 80)}…` : text}"`;
}
