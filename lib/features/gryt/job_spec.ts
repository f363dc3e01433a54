/**
 * From a Gryt request to a job as `POST /v1/jobs` takes it.
 *
 * @module
 */
import type { ProjectName } from "@lib/core/ids.ts";
import { parseSize } from "@lib/core/size.ts";
import { type FernetKey, openFernet } from "@lib/features/gryt/fernet.ts";
import type { GrytRequest } from "@lib/features/gryt/request.ts";

/** Where the workspace lies in the container. */
const GRYT_WORKSPACE = "/workspace";
/** The label that holds the job's number at the main API. */
export const GRYT_JOB_LABEL = "gryt.job_id";
/** The name under which the repository's token is sealed; the job does not get it. */
const TOKEN_SECRET = "GRYT_REPOSITORY_TOKEN";

/** What a request leaves open. */
export interface GrytJobOptions {
  readonly project: ProjectName;
  readonly image: string;
  readonly timeoutMs: number;
  readonly encryptionKey?: FernetKey;
}

/** What came of a request. */
export type GrytJob =
  /** A body for `POST /v1/jobs`; it holds the token in plain text. */
  | { readonly kind: "ready"; readonly body: Readonly<Record<string, unknown>> }
  /** The job fails before it begins; `message` is for its owner and holds no secret. */
  | { readonly kind: "failed"; readonly message: string };

/** Makes the job of a request. */
export function toJobBody(request: GrytRequest, options: GrytJobOptions): GrytJob {
  const pipeline = canonicalBase64(request.pipelineBase64);
  if (pipeline === undefined) return failed("Cannot decode pipeline_b64: it is no valid base64");
  const limits = limitsOf(request);
  if (typeof limits === "string") return failed(limits);
  const checkout = checkoutOf(request, options.encryptionKey);
  if (typeof checkout === "string") return failed(checkout);
  const { artifacts, priority } = request;
  return {
    kind: "ready",
    body: {
      project: options.project,
      image: request.image ?? options.image,
      command: ["gryt", "run", "pipeline.py"],
      container: { entrypoint: "image" },
      files: { "pipeline.py": { base64: pipeline }, ".gryt/": "" },
      env: { GRYT_WORKSPACE, ...request.env },
      limits,
      timeout: (request.timeoutMs ?? options.timeoutMs) / 1_000,
      output: "split",
      labels: { [GRYT_JOB_LABEL]: String(request.jobId) },
      ...checkout,
      ...(priority === undefined ? {} : { priority }),
      ...(artifacts === undefined || artifacts.length === 0
        ? {}
        : { artifacts: { paths: artifacts, when: "always" } }),
    },
  };
}

function failed(message: string): GrytJob {
  return { kind: "failed", message };
}

/** The bytes as Python's decoder reads them: line breaks between are no part of it. */
function canonicalBase64(text: string): string | undefined {
  const bare = text.replace(/\s+/g, "");
  if (bare.length % 4 !== 0) return undefined;
  try {
    return Uint8Array.fromBase64(bare).toBase64();
  } catch {
    // The engine's message quotes what was given.
    return undefined;
  }
}

type Limits = { readonly cpu?: number; readonly memory?: number };

/** The limits as docker writes them, where 0 means none; text says what is wrong. */
function limitsOf({ cpuLimit, memoryLimit }: GrytRequest): Limits | string {
  const cpu = cpuLimit === undefined || cpuLimit.trim() === ""
    ? 0
    : /^\s*\d+(\.\d+)?\s*$/.test(cpuLimit)
    ? Number(cpuLimit)
    : NaN;
  if (!(cpu === 0 || (cpu >= 0.01 && cpu <= 1_024))) {
    return 'Cannot use cpu_limit: give a number of CPUs such as "0.5" or "2.0"';
  }
  const memory = memoryLimit === undefined || memoryLimit.trim() === ""
    ? 0
    : parseSize(memoryLimit);
  if (memory === undefined) return 'Cannot use memory_limit: give a size such as "512m" or "2g"';
  return { ...(cpu === 0 ? {} : { cpu }), ...(memory === 0 ? {} : { memory }) };
}

/** The checkout and the secret that opens it; text says what is wrong. */
function checkoutOf(
  { gitUrl, gitBranch, tokenEncrypted }: GrytRequest,
  key: FernetKey | undefined,
): Readonly<Record<string, unknown>> | string {
  if (gitUrl === undefined || gitUrl.trim() === "") return {};
  const git = { url: gitUrl.trim(), ref: gitBranch, depth: 1 };
  if (tokenEncrypted === undefined || tokenEncrypted.trim() === "") return { git };
  if (key === undefined) {
    return "Cannot decrypt github_token_encrypted: GRYT_ENCRYPTION_KEY is not set here";
  }
  const token = openFernet(key, tokenEncrypted);
  if (token.kind === "refused") {
    return `Cannot decrypt github_token_encrypted: it ${token.why}`;
  }
  const text = token.text.expose().trim();
  if (text === "") return "Cannot use github_token_encrypted: the token in it is empty";
  return { git: { ...git, token_secret: TOKEN_SECRET }, secrets: { [TOKEN_SECRET]: text } };
}
