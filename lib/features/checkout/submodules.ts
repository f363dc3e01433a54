/**
 * The submodules of a commit, and their addresses.
 *
 * `.gitmodules` is untrusted: everything in it is checked before use.
 *
 * @module
 */
import type { Git, GitCall } from "@lib/features/checkout/git_command.ts";
import { GitFailure, plainText } from "@lib/features/checkout/git_failure.ts";
import { gitPathProblem } from "@lib/spine/spec/git_policy.ts";
import { type GitRemote, type GitUrl, parseGitUrl } from "@lib/spine/spec/git_url.ts";

/** A submodule of a commit. */
export interface Submodule {
  readonly name: string;
  /** Below the working tree. */
  readonly path: string;
  /** As written: may be relative, or invalid. */
  readonly url: string;
  /** `update = none`: git leaves its directory empty. */
  readonly isSkipped: boolean;
  readonly sha: string;
}

/** Most submodules of one commit. */
const SUBMODULES_MAX = 256;

/**
 * Lists the submodules of `HEAD`; entries of `.gitmodules` without a commit are skipped.
 *
 * @throws {GitFailure} `refused` if a name or path is not allowed.
 */
export async function listSubmodules(git: Git, call: GitCall): Promise<readonly Submodule[]> {
  const listed = await git.try(["config", "--blob", "HEAD:.gitmodules", "--list", "-z"], call);
  if (listed.code !== 0) {
    // A commit without the file has no submodules; a file that git cannot parse is an error.
    const { stdout } = await git.try(["ls-files", "-z", "--", ":(literal).gitmodules"], call);
    if (stdout === "") return [];
    throw refused(".gitmodules cannot be read");
  }
  if (listed.truncated) throw refused(".gitmodules is too long");
  const entries = parseGitmodules(listed.stdout);
  if (entries.length > SUBMODULES_MAX) throw refused(`there are more than ${SUBMODULES_MAX}`);
  for (const { name, path } of entries) {
    const problem = nameProblem(name) ?? gitPathProblem(path);
    if (problem !== undefined) throw refused(`"${plainText(name, 80)}" ${problem}`);
  }
  if (entries.length === 0) return [];
  const paths = entries.map(({ path }) => `:(literal)${path}`);
  const staged = await git.run(["ls-files", "--stage", "-z", "--", ...paths], call);
  const commits = new Map<string, string>();
  for (const line of staged.split("\0")) {
    const [, sha, path] = /^160000 ([0-9a-f]+) 0\t(.+)$/s.exec(line) ?? [];
    if (sha !== undefined && path !== undefined) commits.set(path, sha);
  }
  return entries.flatMap((entry) => {
    const sha = commits.get(entry.path);
    return sha === undefined ? [] : [{ ...entry, sha }];
  });
}

/** Parses the output of `git config --list -z`; skips entries without path or address. */
export function parseGitmodules(text: string): readonly Omit<Submodule, "sha">[] {
  const found = new Map<string, { path?: string; url?: string; update?: string }>();
  for (const item of text.split("\0")) {
    const [, name, field, value] = /^submodule\.(.+)\.(path|url|update)\n(.*)$/s.exec(item) ?? [];
    if (name === undefined || value === undefined) continue;
    const entry = found.get(name) ?? {};
    if (field === "path") entry.path = value.replace(/\/+$/, "");
    else if (field === "url") entry.url = value;
    else entry.update = value;
    found.set(name, entry);
  }
  return [...found].flatMap(([name, { path, url, update }]) =>
    path === undefined || url === undefined
      ? []
      : [{ name, path, url, isSkipped: update === "none" }]
  );
}

function nameProblem(name: string): string | undefined {
  if (/[\p{Cc}\p{Cs}]/u.test(name)) return "has a control character in its name";
  return name.split(/[/\\]/).includes("..") ? 'has ".." in its name' : undefined;
}

function refused(what: string): GitFailure {
  return new GitFailure("refused", `Cannot check out the submodules: ${what}`);
}

/**
 * Resolves the `url` of a submodule as git does: `../lib.git` is a sibling of the parent.
 *
 * An address over ssh, or with a user name, that leads to the token's own host becomes one of the
 * token's origin: developers use their keys, and a job uses the token.
 *
 * @param tokenOrigin The server that gets the token: `https://host:port`.
 */
export function resolveSubmoduleUrl(
  parent: GitRemote,
  url: string,
  tokenOrigin: string | undefined,
): GitUrl {
  if (!/^\.\.?\//.test(url)) return parseGitUrl(atTokenOrigin(url, tokenOrigin));
  const parts = parent.path.replace(/\/+$/, "").split("/");
  let rest = url;
  for (;;) {
    if (rest.startsWith("./")) {
      rest = rest.slice("./".length);
    } else if (rest.startsWith("../")) {
      rest = rest.slice("../".length);
      // The first part of an absolute path is empty: there is nothing above it.
      if (parts.length <= (parent.path.startsWith("/") ? 1 : 0)) {
        return { kind: "refused", message: "leads above the server's root" };
      }
      parts.pop();
    } else break;
  }
  return parseGitUrl(`${parent.origin}${[...parts, rest].join("/")}`);
}

function atTokenOrigin(url: string, origin: string | undefined): string {
  if (origin === undefined) return url;
  const usual = (text: string) =>
    text.toLowerCase().replace(/^(https:.*):443$|^(http:.*):80$/, "$1$2");
  const [, scheme = "", at = "", httpPath] =
    /^(https?:\/\/)[^/@:?#]+@([^/@?#]+)(\/.*)$/.exec(url) ??
      [];
  if (httpPath !== undefined) return usual(scheme + at) === usual(origin) ? origin + httpPath : url;
  const parsed = parseGitUrl(url);
  if (parsed.kind === "refused" || parsed.remote.scheme !== "ssh") return url;
  // The port is that of ssh.
  if (hostOf(parsed.remote.origin) !== hostOf(origin)) return url;
  return `${origin}/${parsed.remote.path.replace(/^\/+/, "")}`;
}

/** Returns the host of an origin, in lower case. */
function hostOf(origin: string): string {
  return origin.replace(/^[a-z]+:\/\//, "").replace(/^[^@]*@/, "").replace(/:\d*$/, "")
    .toLowerCase();
}
