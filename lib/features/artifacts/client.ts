/**
 * Requests about the artifacts of a job.
 *
 * @module
 */
import { reading, type ReadingOf } from "@lib/api/client/reading.ts";
import { jobPath, type RunnerTransport } from "@lib/api/client/transport.ts";
import { artifactListSchema, type artifactSchema } from "@lib/features/artifacts/answers.ts";
import type { UnixResponse } from "@lib/foundations/http/unix_client.ts";

/** The artifacts of an attempt. */
export type ArtifactsAnswer = ReadingOf<typeof artifactListSchema>;
/** A kept file. */
export type ArtifactAnswer = ReadingOf<typeof artifactSchema>;

const readList = reading(artifactListSchema, "the artifacts");

/** Selects the artifacts of a job, by its id or the beginning of it. */
export interface ArtifactsOf {
  readonly id: string;
  /** Absent: the latest attempt. */
  readonly attempt?: number;
}

/** Lists the artifacts. Throws what {@linkcode RunnerTransport.json} throws. */
export function listArtifacts(
  runner: RunnerTransport,
  of: ArtifactsOf,
  signal: AbortSignal,
): Promise<ArtifactsAnswer> {
  return runner.ask(readList, { path: pathOf(of), signal });
}

/** Opens an artifact; `from` resumes. Throws what {@linkcode RunnerTransport.open} throws. */
export function openArtifact(
  runner: RunnerTransport,
  { path, from = 0, ...of }: ArtifactsOf & { readonly path: string; readonly from?: number },
  signal: AbortSignal,
): Promise<UnixResponse> {
  return runner.open({
    path: pathOf(of, path),
    headers: { accept: "*/*", ...(from === 0 ? {} : { range: `bytes=${from}-` }) },
    signal,
  });
}

function pathOf({ id, attempt }: ArtifactsOf, path = ""): string {
  const parts = path === "" ? [] : path.split("/");
  const tail = parts.map((part) => `/${encodeURIComponent(part)}`).join("");
  const query = attempt === undefined ? "" : `?attempt=${attempt}`;
  return `${jobPath(id)}/artifacts${tail}${query}`;
}
