/**
 * What went wrong when git failed, in words for the owner of the job.
 *
 * @module
 */
import type { GitRemote } from "@lib/spine/spec/git_url.ts";

/** What kind of failure it was; `other` may lie in the files on this machine. */
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
  /** By the kernel for want of memory, or by a person. */
  | "killed"
  | "other";

/** A failed command of git; its message is for people and holds no secret. */
export class GitFailure extends Error {
  readonly kind: GitFailureKind;

  constructor(kind: GitFailureKind, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "GitFailure";
    this.kind = kind;
  }
}

/** For {@linkcode explainFailure}. */
export interface FailureInput {
  /** What git wrote on standard error. */
  readonly stderr: string;
  readonly remote: GitRemote;
  /** Absent if no token was given for this remote. */
  readonly token: string | undefined;
}

const MAX_LINES = 4;
const MAX_LINE_CHARS = 300;

/** Makes the failure of a command that talked to `remote`. */
export function explainFailure(input: FailureInput): GitFailure {
  const kind = classify(input);
  const said = quoteOutput(input.stderr, input.token);
  const sentence = SENTENCES[kind](input.remote);
  return new GitFailure(kind, said === "" ? sentence : `${sentence}. git said: ${said}`);
}

/** Takes git's last lines for people: one line, bounded, without the token, credentials, controls. */
export function quoteOutput(stderr: string, token: string | undefined): string {
  const lines = stderr.split(/[\r\n]+/).map((line) => plainText(hide(line, token), MAX_LINE_CHARS))
    .filter((line) => line !== "" && !/^(?:hint|Cloning into)/.test(line));
  return lines.slice(-MAX_LINES).join("; ");
}

/** Makes any text fit for one line of a log: no control characters, at most `maxChars`. */
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
  if (
    says(
      /repository '.*' not found|Repository not found|does not appear to be a git repository|returned error: 404|not valid: is this a git repository/i,
    )
  ) return "not_found";
  return says(UNREACHABLE) ? "unreachable" : "other";
}

const UNREACHABLE = new RegExp(
  "could not resolve|name or service not known|failed to connect|couldn't connect|connection refused" +
    "|timed out|no route to host|network is unreachable|connection reset|connection closed" +
    "|unable to access|remote end hung up|empty reply|early eof|operation too slow|returned error: 5",
  "i",
);

function withoutUser(url: string): string {
  return url.replace(/^([a-z]+:\/\/)[^/]*@/, "$1");
}

const SENTENCES: Readonly<Record<GitFailureKind, (remote: GitRemote) => string>> = {
  not_found: ({ url }) => `Cannot check out ${url}: there is no such repository`,
  needs_token: ({ url }) =>
    `Cannot check out ${url}: it does not exist or is not public; name the secret that opens it ` +
    "in `git.token_secret`",
  token_refused: ({ url }) =>
    `Cannot check out ${url}: the token was refused; give one that is valid and may read it`,
  redirected: ({ url, origin }) =>
    `Cannot check out ${url}: it leads to another server, which asks for a token, and the token ` +
    `is sent to ${origin} only; give the address of that server`,
  ref_not_found: ({ url }) => `Cannot check out ${url}: it has no such branch or tag`,
  sha_not_served: ({ url }) =>
    `Cannot check out ${url}: the server does not hand out this commit; push it, or name a branch ` +
    "that holds it in `git.ref`",
  host_key: ({ url }) =>
    `Cannot check out ${url}: the host's key is not known; put it into the file of ` +
    "`git.known_hosts` with ssh-keyscan after comparing it",
  ssh_key: ({ url }) =>
    `Cannot check out ${url}: the host accepts no key of this account; add one as a deploy key`,
  certificate: ({ url }) => `Cannot check out ${url}: its certificate is not trusted here`,
  unreachable: ({ url }) => `Cannot check out ${url}: the host cannot be reached or broke off`,
  protocol_refused: ({ url, scheme }) =>
    `Cannot check out ${url}: it leads to another protocol than ${scheme}, which is not followed`,
  refused: ({ url }) => `Cannot check out ${url}: this is not allowed`,
  disk_full: ({ url }) => `Cannot check out ${url}: the disk is full`,
  too_slow: ({ url }) => `Cannot check out ${url}: it takes too long`,
  killed: ({ url }) => `Cannot check out ${url}: git was killed from outside; try again`,
  other: ({ url }) => `Cannot check out ${url}: git failed`,
};
