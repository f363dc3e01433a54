/**
 * Explains failures of git to the owner of the job.
 *
 * @module
 */
import type { GitRemote } from "@lib/spine/spec/git_url.ts";

/** Kinds of failures; `other` may be caused by files on this machine. */
export type GitFailureKind =
  | "not_found"
  | "needs_token"
  | "token_refused"
  | "redirected"
  | "ref_not_found"
  | "sha_not_served"
  | "host_key"
  | "ssh_key"
  | "certificate"
  | "unreachable"
  | "protocol_refused"
  | "refused"
  | "disk_full"
  | "too_slow"
  /** By the kernel when memory is short, or by a person. */
  | "killed"
  | "other";

/** A failed git command; its message is for people and holds no secret. */
export class GitFailure extends Error {
  readonly kind: GitFailureKind;

  constructor(kind: GitFailureKind, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "GitFailure";
    this.kind = kind;
  }
}

/** Options for {@linkcode explainFailure}. */
export interface FailureInput {
  readonly stderr: string;
  readonly remote: GitRemote;
  /** Absent if this remote has no token. */
  readonly token: string | undefined;
}

const MAX_LINES = 4;
const MAX_LINE_CHARS = 300;

/** Makes the failure of a command that talked to `remote`. */
export function explainFailure(input: FailureInput): GitFailure {
  const kind = classify(input);
  const output = quoteOutput(input.stderr, input.token);
  const sentence = `Cannot check out ${input.remote.url}: ${PROBLEMS[kind](input.remote)}`;
  return new GitFailure(kind, output === "" ? sentence : `${sentence}. git said: ${output}`);
}

/** Returns git's last lines as one line: bounded, without token, credentials and control characters. */
export function quoteOutput(stderr: string, token: string | undefined): string {
  const lines = stderr.split(/[\r\n]+/).map((line) => plainText(hide(line, token), MAX_LINE_CHARS))
    .filter((line) => line !== "" && !/^(?:hint|Cloning into)/.test(line));
  return lines.slice(-MAX_LINES).join("; ");
}

/** Makes text fit for one line of a log: without control characters, at most `maxChars` long. */
export function plainText(text: string, maxChars: number): string {
  const plain = text.replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]+/gu, " ").trim();
  return plain.length > maxChars ? `${plain.slice(0, maxChars).toWellFormed()}…` : plain;
}

function hide(line: string, token: string | undefined): string {
  const hidden = token === undefined || token === "" ? line : line
    .replaceAll(token, "***")
    .replaceAll(encodeURIComponent(token), "***");
  return hidden.replace(/(:\/\/)[^/@\s']*@/g, "$1***@");
}

function classify({ stderr, remote, token }: FailureInput): GitFailureKind {
  const says = (pattern: RegExp) => pattern.test(stderr);
  const [, asked] = /could not read (?:Username|Password) for '([^']*)'/.exec(stderr) ?? [];
  if (asked !== undefined && withoutUser(asked) !== remote.origin) return "redirected";
  if (says(/No space left on device|Disk quota exceeded/)) return "disk_full";
  if (says(/transport '.*' not allowed|protocol '.*' is not (?:supported|allowed)/i)) {
    return "protocol_refused";
  }
  if (says(/Host key verification failed/)) return "host_key";
  if (says(/Permission denied \([a-z,-]+\)|Too many authentication failures/)) return "ssh_key";
  if (asked !== undefined || says(/Authentication failed|HTTP Basic: Access denied/)) {
    return token === undefined ? "needs_token" : "token_refused";
  }
  if (says(/returned error: 40[13]/)) return token === undefined ? "needs_token" : "token_refused";
  if (says(/not our ref|unadvertised object|remote did not send all necessary objects/i)) {
    return "sha_not_served";
  }
  if (says(/couldn't find remote ref/i)) return "ref_not_found";
  if (says(/SSL certificate|certificate verif|server certificate/i)) return "certificate";
  if (says(NOT_FOUND)) return "not_found";
  if (says(/returned error: 4(?!08|29)/)) return "refused";
  return says(UNREACHABLE) ? "unreachable" : "other";
}

const NOT_FOUND =
  /repository '.*' not found|Repository not found|does not appear to be a git repository|returned error: 404|not valid: is this a git repository/i;
const UNREACHABLE = new RegExp(
  "could not resolve|rpc failed|server error|name or service not known|failed to connect|couldn't connect|connection refused" +
    "|timed out|no route to host|network is unreachable|connection reset|connection closed" +
    "|unable to access|remote end hung up|empty reply|early eof|operation too slow|returned error: [45]",
  "i",
);

function withoutUser(url: string): string {
  return url.replace(/^([a-z]+:\/\/)[^/]*@/, "$1");
}

const PROBLEMS: Readonly<Record<GitFailureKind, (remote: GitRemote) => string>> = {
  not_found: () => "no such repository",
  needs_token: () =>
    "it does not exist or is not public; name the secret that opens it in `git.token_secret`",
  token_refused: () => "the token was refused; use one that is valid and may read it",
  redirected: ({ origin }) =>
    "it redirects to another server, which asks for a token, and the token is sent only to " +
    `${origin}; use the address of that server`,
  ref_not_found: () => "it has no such branch or tag",
  sha_not_served: () =>
    "the server does not serve this commit; push it, or name a branch that contains it in `git.ref`",
  host_key: () =>
    "the host key is unknown; verify it and add it to the file of `git.known_hosts` with ssh-keyscan",
  ssh_key: () => "the host accepts no key of this account; add one as a deploy key",
  certificate: () => "its certificate is not trusted here",
  unreachable: () => "the host is unreachable or closed the connection",
  protocol_refused: ({ scheme }) =>
    `it redirects to a protocol other than ${scheme}, which is not followed`,
  refused: () => "this is not allowed",
  disk_full: () => "the disk is full",
  too_slow: () => "it takes too long",
  killed: () => "git was killed from outside; try again",
  other: () => "git failed",
};
