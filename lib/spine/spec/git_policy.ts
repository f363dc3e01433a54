/**
 * Checks whether a checkout is allowed: when a job is submitted, and again before its checkout, as
 * the configuration may have changed and submodules have addresses too.
 *
 * @module
 */
import { type FieldIssue, issuesOf } from "@lib/core/errors.ts";
import { type GitScheme, type GitUrl, parseGitUrl } from "@lib/spine/spec/git_url.ts";
import type { GitSpec } from "@lib/spine/spec/job_spec.ts";

/** The rules of the configuration for checkouts. */
export interface GitRules {
  /** `git.schemes`. */
  readonly schemes: readonly GitScheme[];
}

/** Longest ref, in characters. */
const REF_MAX_CHARS = 1_024;
/** Maximum depth of history in commits; 0 is all. */
const DEPTH_MAX = 1_000_000;

/** Returns the issues of a checkout, by the fields of the job's request. */
export function gitIssues(git: GitSpec, rules: GitRules): readonly FieldIssue[] {
  const parsed = parseGitUrl(git.url);
  return issuesOf([
    ["git.url", urlIssue(parsed, rules)],
    ["git.ref", git.ref === undefined ? undefined : refIssue(git.ref)],
    ["git.sha", git.sha === undefined ? undefined : shaIssue(git.sha)],
    ["git.depth", depthIssue(git.depth)],
    ["git.path", git.path === "." ? undefined : gitPathProblem(git.path.replace(/\/$/, ""))],
    ["git.token_secret", git.tokenSecret === undefined ? undefined : tokenIssue(parsed)],
  ]);
}

/** Returns why the address may not be used; `undefined` if it may. */
export function urlIssue(parsed: GitUrl, { schemes }: GitRules): string | undefined {
  if (parsed.kind === "refused") return parsed.message;
  const { scheme } = parsed.remote;
  if (schemes.includes(scheme)) return undefined;
  const what = scheme === "file" ? "a path on this machine" : `reached by ${scheme}`;
  return `is ${what}, which is not allowed here; allowed: ${schemes.join(", ")} (git.schemes)`;
}

/** The rules of `git check-ref-format`; a name without `refs/` is allowed. */
function refIssue(ref: string): string | undefined {
  if (ref === "") return "is empty; leave it out for the default branch";
  if (ref.startsWith("-")) return `begins with "-", which git would read as an option`;
  if (ref.length > REF_MAX_CHARS) return `is longer than ${REF_MAX_CHARS} characters`;
  if (/^(?:[0-9a-f]{40}|[0-9a-f]{64})$/i.test(ref)) return "is a commit id; give it as `sha`";
  const bad = /[\p{Cc}\p{Cs} ~^:?*[\\]/u.test(ref) || ref.includes("..") || ref.includes("@{") ||
    ref === "@" || ref.endsWith(".") ||
    ref.split("/").some((part) => part === "" || part.startsWith(".") || part.endsWith(".lock"));
  return bad ? "is not the name of a branch or tag (see `git help check-ref-format`)" : undefined;
}

function shaIssue(sha: string): string | undefined {
  if (!/^(?:[0-9a-f]{40}|[0-9a-f]{64})$/.test(sha)) {
    return "is not a full commit id; give all 40 (or 64) hexadecimal digits, in lower case";
  }
  return /^0+$/.test(sha) ? "is all zeros, which is not a commit" : undefined;
}

function depthIssue(depth: number): string | undefined {
  return Number.isInteger(depth) && depth >= 0 && depth <= DEPTH_MAX
    ? undefined
    : `is ${depth}; give a whole number from 0 (all history) to ${DEPTH_MAX}`;
}

/** Returns why a path of a workspace may not hold a repository; `undefined` if it may. */
export function gitPathProblem(path: string): string | undefined {
  if (path === "" || path.startsWith("/")) return "must be a directory below the workspace, or `.`";
  if (/[\p{Cc}\p{Cs}]/u.test(path)) return "contains a control character";
  for (const part of path.split("/")) {
    if (part === "" || part === "." || part === "..") return `contains an empty part, "." or ".."`;
    if (/^(?:\.git|git~1)$/i.test(part)) return `contains "${part}", which is git's own directory`;
  }
  return undefined;
}

function tokenIssue(parsed: GitUrl): string | undefined {
  if (parsed.kind === "refused") return undefined;
  const { scheme } = parsed.remote;
  if (scheme === "https" || scheme === "http") return undefined;
  return scheme === "ssh"
    ? "works with https:// only; over ssh git uses the keys of the account's own agent"
    : "works with https:// only";
}
