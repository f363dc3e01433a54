/**
 * The artifacts of a job, listed and fetched.
 *
 * @module
 */
import * as v from "valibot";
import { parseAnswer } from "@lib/api/client/answers.ts";
import type { RunnerTransport } from "@lib/api/client/transport.ts";
import type { UnixResponse } from "@lib/foundations/http/unix_client.ts";

const artifactSchema = v.looseObject({
  path: v.string(),
  bytes: v.number(),
  sha256: v.string(),
  executable: v.boolean(),
});

/** What was kept of an attempt. */
export const artifactsAnswerSchema = v.looseObject({
  job: v.string(),
  attempt: v.number(),
  complete: v.boolean(),
  files: v.array(artifactSchema),
  left_out: v.array(v.looseObject({ path: v.string(), why: v.string() })),
  left_out_count: v.number(),
  unmatched: v.array(v.string()),
  uploaded: v.nullable(v.looseObject({
    to: v.string(),
    files: v.number(),
    missing: v.number(),
    problem: v.nullable(v.string()),
  })),
});

/** What was kept of an attempt. */
export type ArtifactsAnswer = v.InferOutput<typeof artifactsAnswerSchema>;
/** A file that was kept. */
export type ArtifactAnswer = v.InferOutput<typeof artifactSchema>;

/** Which artifacts: of a job, by its id or the beginning of it. */
export interface ArtifactsOf {
  readonly id: string;
  /** Absent: the latest attempt. */
  readonly attempt?: number;
}

/** Lists what was kept. Throws what {@linkcode RunnerTransport.json} throws. */
export async function listArtifacts(
  transport: RunnerTransport,
  of: ArtifactsOf,
  signal: AbortSignal,
): Promise<ArtifactsAnswer> {
  const answer = await transport.json({ method: "GET", path: pathOf(of), signal });
  return parseAnswer(artifactsAnswerSchema, answer, "the artifacts");
}

/** Opens an artifact; `from` resumes. Throws what {@linkcode RunnerTransport.open} throws. */
export function openArtifact(
  transport: RunnerTransport,
  { path, from = 0, ...of }: ArtifactsOf & { readonly path: string; readonly from?: number },
  signal: AbortSignal,
): Promise<UnixResponse> {
  return transport.open({
    method: "GET",
    path: pathOf(of, path),
    headers: { accept: "*/*", ...(from === 0 ? {} : { range: `bytes=${from}-` }) },
    signal,
  });
}

function pathOf({ id, attempt }: ArtifactsOf, path = ""): string {
  const parts = path === "" ? [] : path.split("/");
  const tail = parts.map((part) => `/${encodeURIComponent(part)}`).join("");
  const query = attempt === undefined ? "" : `?attempt=${attempt}`;
  return `/v1/jobs/${encodeURIComponent(id)}/artifacts${tail}${query}`;
}
