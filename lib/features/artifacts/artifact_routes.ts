/**
 * The routes of a job's artifacts.
 *
 * @module
 */
import * as v from "valibot";
import { CicdError } from "@lib/core/errors.ts";
import { problemResponse } from "@lib/foundations/http/problem.ts";
import type { Job } from "@lib/spine/jobs/model.ts";
import type { ArtifactReader, ReadableArtifact } from "@lib/features/artifacts/artifact_reader.ts";
import { artifactListSchema } from "@lib/features/artifacts/answers.ts";
import { parseRange } from "@lib/api/range.ts";
import { type AnyRoute, route, wholeNumber } from "@lib/api/route.ts";
import { streamBody } from "@lib/api/stream_body.ts";

const attemptQuery = v.pipe(
  wholeNumber({ min: 1, max: 999_999 }),
  v.description("Number of the attempt; by default the latest"),
);

type ArtifactReading = Pick<ArtifactReader, "list" | "find">;
type MaskOf = (job: Job) => Promise<(text: string) => string>;

/** Returns the routes of artifacts; names are shown with the job's secrets masked. */
export function artifactRoutes(artifacts: ArtifactReading, maskOf: MaskOf): readonly AnyRoute[] {
  return [
    route({
      method: "GET",
      path: "/v1/jobs/:id/artifacts",
      access: { scope: "read", by: "job" },
      summary: "List the artifacts of a job",
      query: { attempt: attemptQuery },
      answers: { 200: { description: "The artifacts, by path", schema: artifactListSchema } },
      errors: ["job_not_found", "not_found", "invalid_request"],
      handle: async ({ job, query }, reply) =>
        reply.json(
          200,
          await listView(artifacts, job, attemptOf(job, query.attempt), await maskOf(job)),
        ),
    }),
    route({
      method: "GET",
      path: "/v1/jobs/:id/artifacts/:path{[^]+}",
      access: { scope: "read", by: "job" },
      summary: "Download an artifact",
      description:
        "`Range: bytes=N-` resumes; `ETag` is the SHA-256 of the whole file. Secrets in files are " +
        "not masked.",
      query: { attempt: attemptQuery },
      answers: {
        200: { description: "The file", contentType: "application/octet-stream" },
        206: { description: "The requested range", contentType: "application/octet-stream" },
        304: { description: "The client has the file" },
      },
      errors: ["job_not_found", "not_found", "invalid_request", "range_not_satisfiable"],
      handle: async ({ request, signal, job, params, query }, reply) => {
        const attempt = attemptOf(job, query.attempt);
        const path = params["path"] ?? "";
        const mask = await maskOf(job);
        const file = await artifacts.find(job, attempt, path) ??
          await findMasked(artifacts, { job, attempt, path }, mask);
        if (file === undefined) {
          throw new CicdError(
            "not_found",
            `Cannot find artifact ${shown(path)} of attempt ${attempt} of job "${job.id}"; ` +
              `/v1/jobs/${job.id}/artifacts lists them`,
          );
        }
        return reply.raw(download(request, { ...file, path: mask(file.path) }, signal));
      },
    }),
  ];
}

/** Answers with the file or a part of it, by the request's conditions (RFC 9110, 13 and 14). */
function download(request: Request, file: ReadableArtifact, over: AbortSignal): Response {
  const { bytes, sha256, path } = file;
  const etag = `"${sha256}"`;
  const headers = new Headers({
    "content-type": "application/octet-stream",
    "content-disposition": contentDisposition(path),
    // A file of a job must not become a page of this origin.
    "x-content-type-options": "nosniff",
    "content-security-policy": "sandbox; default-src 'none'",
    "cache-control": "private, no-cache",
    "accept-ranges": "bytes",
    etag,
  });
  if (isListed(request.headers.get("if-none-match"), etag)) {
    return new Response(null, { status: 304, headers });
  }
  const ifRange = request.headers.get("if-range");
  const field = ifRange === null || ifRange.trim() === etag ? request.headers.get("range") : null;
  const range = parseRange(field, bytes, { follow: false, offset: undefined });
  if (range.kind === "unsatisfiable") {
    const response = problemResponse(
      new CicdError(
        "range_not_satisfiable",
        `Cannot read artifact ${shown(path)} from there: it has ${bytes} bytes`,
      ),
    );
    response.headers.set("content-range", `bytes */${bytes}`);
    return response;
  }
  const { from, to = bytes } = range;
  headers.set("content-length", String(to - from));
  if (range.kind === "part") headers.set("content-range", `bytes ${from}-${to - 1}/${bytes}`);
  const body = streamBody(over, (signal) => whole(file, { from, to }, signal));
  return new Response(body, { status: range.kind === "part" ? 206 : 200, headers });
}

/** Reads the bytes; a truncated file breaks the connection, as a part must not look complete. */
async function* whole(
  file: ReadableArtifact,
  { from, to }: { readonly from: number; readonly to: number },
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  let left = to - from;
  for await (const chunk of file.read(signal, { from, to })) {
    left -= chunk.length;
    // The buffer is reused for the next chunk.
    yield chunk.slice();
  }
  if (left > 0) {
    throw new CicdError("io_failed", `Cannot read an artifact to its end: ${file.path}`);
  }
}

async function listView(
  artifacts: ArtifactReading,
  job: Job,
  attempt: number,
  mask: (text: string) => string,
): Promise<v.InferOutput<typeof artifactListSchema>> {
  const list = attempt === 0 ? undefined : await artifacts.list(job, attempt);
  const { uploaded } = list ?? {};
  return {
    job: job.id,
    attempt,
    complete: list !== undefined,
    files: (list?.files ?? []).map(({ path, bytes, sha256, mode }) => ({
      path: mask(path),
      bytes,
      sha256,
      executable: (mode & 0o100) !== 0,
      url: artifactUrl(job.id, mask(path), attempt),
    })),
    left_out: (list?.left_out ?? []).map(({ path, why }) => ({ path: mask(path), why: mask(why) })),
    left_out_count: list?.left_out_count ?? 0,
    unmatched: (list?.unmatched ?? []).map(mask),
    uploaded: uploaded === undefined ? null : {
      ...uploaded,
      to: mask(uploaded.to),
      problem: uploaded.problem === undefined ? null : mask(uploaded.problem),
    },
  };
}

/** Finds a file by its name as the list shows it, with a secret masked. */
async function findMasked(
  artifacts: ArtifactReading,
  { job, attempt, path }: { readonly job: Job; readonly attempt: number; readonly path: string },
  mask: (text: string) => string,
): Promise<ReadableArtifact | undefined> {
  if (!path.includes("*")) return undefined;
  const files = (await artifacts.list(job, attempt))?.files ?? [];
  const file = files.find((one) => mask(one.path) === path);
  return file && await artifacts.find(job, attempt, file.path);
}

function artifactUrl(id: string, path: string, attempt: number): string {
  const encoded = path.split("/").map(encodeURIComponent).join("/");
  return `/v1/jobs/${id}/artifacts/${encoded}?attempt=${attempt}`;
}

function attemptOf(job: Job, number = job.attempt): number {
  if (number <= job.attempt) return number;
  throw new CicdError(
    "not_found",
    `Cannot find attempt ${number} of job "${job.id}": it has had ${job.attempt}`,
  );
}

/** Tells if `If-None-Match` lists the tag; tags of this API are never weak. */
function isListed(field: string | null, etag: string): boolean {
  if (field === null) return false;
  return field.split(",").map((one) => one.trim().replace(/^W\//, ""))
    .some((one) => one === "*" || one === etag);
}

/** Names the file for saving; characters that a header cannot carry are replaced (RFC 6266). */
function contentDisposition(path: string): string {
  const name = path.slice(path.lastIndexOf("/") + 1);
  const plain = name.replace(/[^\x20-\x7e]|["\\%]/g, "_");
  const encoded = encodeURIComponent(name.toWellFormed()).replace(
    /['()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
  return `attachment; filename="${plain}"; filename*=UTF-8''${encoded}`;
}

function shown(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text);
}
