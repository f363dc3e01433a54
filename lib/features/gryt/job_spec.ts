/**
 * Translates a Gryt request into the body of `POST /v1/jobs`.
 *
 * @module
 */
import { parseSize } from "@lib/core/size.ts";
import { type FernetKey, openFernet } from "@lib/features/gryt/fernet.ts";
import type { GrytRequest } from "@lib/features/gryt/request.ts";
import type { GrytSettings } from "@lib/features/gryt/settings.ts";

/** Path of the workspace in the container. */
const GRYT_WORKSPACE = "/workspace";
/** Label with the job's number at the main API. */
export const GRYT_JOB_LABEL = "gryt.job_id";
/** Name of the sealed repository token; the job does not get it. */
const TOKEN_SECRET = "GRYT_REPOSITORY_TOKEN";

/** The result of {@linkcode toJobBody}. */
export type GrytJob =
  /** `body` contains the token in plain text. */
  | { readonly kind: "ready"; readonly body: Readonly<Record<string, unknown>> }
  /** The job cannot start; `message` is for its owner and holds no secret. */
  | { readonly kind: "failed"; readonly message: string };

/** Makes the job of a request. */
export function toJobBody(
  request: GrytRequest,
  options: Pick<GrytSettings, "project" | "image" | "timeoutMs" | "encryptionKey">,
): GrytJob {
  const pipeline = canonicalBase64(request.pipelineBase64);
  if (pipeline === undefined) return failed("Cannot decode pipeline_b64: it is not valid base64");
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

/** Ignores white space, as Python's decoder does. */
function canonicalBase64(text: string): string | undefined {
  const bare = text.replace(/\s+/g, "");
  if (bare.length % 4 !== 0) return undefined;
  try {
    return Uint8Array.fromBase64(bare).toBase64();
  } catch {
    // The engine's message quotes the input.
    return undefined;
  }
}

function isEmpty(text: string | undefined): text is undefined {
  return text === undefined || text.trim() === "";
}

type Limits = { readonly cpu?: number; readonly memory?: number };

/** Parses limits in Docker's notation, in which 0 means none; returns text about an invalid one. */
function limitsOf({ cpuLimit, memoryLimit }: GrytRequest): Limits | string {
  const cpu = isEmpty(cpuLimit) ? 0 : /^\s*\d+(\.\d+)?\s*$/.test(cpuLimit) ? Number(cpuLimit) : NaN;
  if (!(cpu === 0 || (cpu >= 0.01 && cpu <= 1_024))) {
    return 'Cannot use cpu_limit: give a number of CPUs such as "0.5" or "2.0"';
  }
  const memory = isEmpty(memoryLimit) ? 0 : parseSize(memoryLimit);
  if (memory === undefined) return 'Cannot use memory_limit: give a size such as "512m" or "2g"';
  return { ...(cpu === 0 ? {} : { cpu }), ...(memory === 0 ? {} : { memory }) };
}

/** Makes the checkout and its secret; returns text about an invalid one. */
function checkoutOf(
  { gitUrl, gitBranch, tokenEncrypted }: GrytRequest,
  key: FernetKey | undefined,
): Readonly<Record<string, unknown>> | string {
  if (isEmpty(gitUrl)) return {};
  const git = { url: gitUrl.trim(), ref: gitBranch, depth: 1 };
  if (isEmpty(tokenEncrypted)) return { git };
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
