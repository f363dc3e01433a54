/**
 * Uploads an attempt's artifacts to S3-compatible storage.
 *
 * @module
 */
import { withDeadline } from "@lib/core/abort.ts";
import { Backoff } from "@lib/core/backoff.ts";
import type { Clock } from "@lib/core/clock.ts";
import { messageOf } from "@lib/core/errors.ts";
import { formatSize } from "@lib/core/size.ts";
import { openInside } from "@lib/foundations/files/inside.ts";
import { resolveSecret } from "@lib/foundations/secrets/references.ts";
import type { ArtifactFile } from "@lib/features/artifacts/artifact_list.ts";
import type { UploadArtifacts } from "@lib/features/artifacts/artifact_step.ts";
import type { S3Settings } from "@lib/features/artifacts/keys.ts";
import { putObject, type PutResult, type S3Bucket } from "@lib/features/artifacts/s3_put.ts";

/** Options for {@linkcode s3Upload}. */
interface S3UploadOptions {
  /** Returns a variable of the environment, for references to secrets. */
  readonly env: (name: string) => string | undefined;
  readonly clock: Clock;
  /** For all files of an attempt, in milliseconds. @default {1_800_000} */
  readonly deadlineMs?: number;
}

/** Requests at once: small files cost a round trip each. */
const AT_ONCE = 4;
const TRIES = 6;
/** The most that storage takes in one request. */
const MAX_OBJECT_BYTES = 5 * 1024 ** 3;
const RETRY = { firstMs: 500, maxMs: 30_000 };
const DEADLINE_MS = 30 * 60_000;

/**
 * Returns the upload. Objects are named `prefix/project/job/attempt/path`; a repeated upload gives
 * the same object.
 */
export function s3Upload(config: S3Settings, options: S3UploadOptions): UploadArtifacts {
  return async ({ ref, directory }, { files }, signal) => {
    const place = [config.prefix, ref.project, ref.jobId, String(ref.number)]
      .flatMap((part) => part.split("/")).filter((part) => part !== "").join("/");
    const upload = { config, options, place, top: directory.artifacts };
    const { stored, problem, retries } = await uploadAll(files, upload, signal);
    return {
      to: `s3://${config.bucket}/${place}/`,
      files: stored.length,
      bytes: stored.reduce((sum, { bytes }) => sum + bytes, 0),
      missing: files.length - stored.length,
      ...(problem === undefined ? {} : { problem }),
      ...(retries.length === 0 ? {} : {
        retried: `${retries.length} ${retries.length === 1 ? "retry" : "retries"}: ${retries[0]}`,
      }),
    };
  };
}

interface Upload {
  readonly config: S3Settings;
  readonly options: S3UploadOptions;
  /** The start of the names of the objects. */
  readonly place: string;
  /** The directory of the artifacts. */
  readonly top: string;
}

/** Uploads a few at a time; after the first failure no other is started. */
async function uploadAll(
  files: readonly ArtifactFile[],
  upload: Upload,
  signal: AbortSignal,
) {
  const stored: ArtifactFile[] = [];
  const problems: string[] = [];
  const retries: string[] = [];
  let tooLarge: string | undefined;
  const { deadlineMs = DEADLINE_MS } = upload.options;
  using deadline = withDeadline(signal, deadlineMs, "the storage of artifacts");
  const rest = files.values();
  const work = async (bucket: S3Bucket) => {
    for (const file of rest) {
      if (problems.length > 0) return;
      if (file.bytes > MAX_OBJECT_BYTES) {
        tooLarge ??= `"${file.path}" is larger than ${formatSize(MAX_OBJECT_BYTES)}`;
        continue;
      }
      const problem = await uploadOne(file, { ...upload, bucket, retries }, deadline);
      if (problem === undefined) stored.push(file);
      else problems.push(problem);
    }
  };
  try {
    const bucket = openBucket(upload);
    await Promise.all(Array.from({ length: AT_ONCE }, () => work(bucket)));
  } catch (error) {
    signal.throwIfAborted();
    problems.push(messageOf(error));
  }
  return { stored, problem: problems[0] ?? tooLarge, retries };
}

function openBucket({ config, options: { env } }: Upload): S3Bucket {
  const { endpoint, bucket, region, accessKey, secretKey } = config;
  return {
    endpoint,
    bucket,
    region,
    accessKey: resolveSecret(accessKey, { field: "artifacts.s3.access_key", env }),
    secretKey: resolveSecret(secretKey, { field: "artifacts.s3.secret_key", env }),
  };
}

/** Uploads a file; returns why it could not. Adds the reason of each retry to `retries`. */
async function uploadOne(
  { path, sha256 }: ArtifactFile,
  { place, top, bucket, retries, options: { clock } }: Upload & {
    readonly bucket: S3Bucket;
    readonly retries: string[];
  },
  signal: AbortSignal,
): Promise<string | undefined> {
  const backoff = new Backoff(RETRY);
  let result: PutResult = { kind: "failed", problem: "nothing was tried" };
  for (let tries = 0; tries < TRIES; tries++) {
    if (tries > 0) {
      if (result.kind === "failed") retries.push(result.problem);
      await clock.sleep(backoff.next(), { signal });
    }
    using file = openInside(top, path);
    if (file === undefined) return `"${path}" is no longer there`;
    result = await putObject(bucket, { name: `${place}/${path}`, file, sha256 }, signal);
    if (result.kind === "stored") return undefined;
    if (result.kind === "refused") break;
  }
  return `"${path}": ${result.problem}`;
}
