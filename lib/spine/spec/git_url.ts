/**
 * Parses addresses of repositories strictly: for git `ext::` runs a program, a leading dash is an
 * option and a path opens this machine. Only the forms listed here are accepted.
 *
 * @module
 */

/** The protocol of an address. */
export type GitScheme = "https" | "http" | "ssh" | "file";

/** A parsed address. */
export interface GitRemote {
  readonly scheme: GitScheme;
  /** For git; without credentials. */
  readonly url: string;
  /** The part before the path: `https://host:port`, `ssh://user@host`, `user@host:`, `file://`. */
  readonly origin: string;
  /** As given: `/group/app.git`; without a leading slash in `user@host:path`. */
  readonly path: string;
  /** Equal for different spellings of one address. */
  readonly key: string;
}

/** The result of {@linkcode parseGitUrl}. */
export type GitUrl =
  | { readonly kind: "remote"; readonly remote: GitRemote }
  /** The message continues a sentence whose subject is the field. */
  | { readonly kind: "refused"; readonly message: string };

const FORMS = "give https://host/path, ssh://user@host/path or user@host:path";
const NO_CREDENTIALS =
  "holds credentials or a user name; give them as a secret and name it in `token_secret`";

/** A DNS name, or an IPv6 address in brackets; it never begins with a dash. */
const HOST = String.raw`(?:[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])`;
const USER = String.raw`[A-Za-z0-9_][A-Za-z0-9._-]*`;
const HTTP = new RegExp(`^(https?)://(${HOST})(?::(\\d{1,5}))?(/.*)$`);
const SSH = new RegExp(`^ssh://(?:(${USER})@)?(${HOST})(?::(\\d{1,5}))?(/.*)$`);
const SCP = new RegExp(`^(?:(${USER})@)?(${HOST}):(.+)$`);

/** Parses the address of a repository. */
export function parseGitUrl(url: string): GitUrl {
  if (url === "") return refused(`is empty; ${FORMS}`);
  if (url.startsWith("-")) return refused(`begins with "-", which git would read as an option`);
  if (/[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\s\\]/u.test(url)) {
    return refused("contains a space, a backslash or a control character");
  }
  if (/^[^/]*::/.test(url)) {
    return refused(`names a helper program of git ("::"), which is not supported; ${FORMS}`);
  }
  const [, scheme] = /^([^:/?#]*):\/\//.exec(url) ?? [];
  switch (scheme) {
    case "https":
    case "http":
      return parseHttp(url);
    case "ssh":
      return parseSsh(url);
    case "file":
      return url.startsWith("file:///")
        ? local(url, url.slice("file://".length))
        : refused("names a host after file://; give file:///path");
    case undefined:
      return url.startsWith("/") ? local(`file://${url}`, url) : parseScp(url);
    default:
      return refused(`begins with "${scheme.slice(0, 20)}://", which is not supported; ${FORMS}`);
  }
}

function parseHttp(url: string): GitUrl {
  const authority = /^https?:\/\/([^/?#]*)/.exec(url)?.[1] ?? "";
  if (authority.includes("@")) return refused(NO_CREDENTIALS);
  const [, scheme, host = "", port, path = ""] = HTTP.exec(url) ?? [];
  if (scheme !== "https" && scheme !== "http") return refused(`is not an address; ${FORMS}`);
  const problem = portProblem(port) ?? pathProblem(path);
  if (problem !== undefined) return refused(problem);
  const origin = `${scheme}://${host}${port === undefined ? "" : `:${port}`}`;
  const usual = scheme === "https" ? "443" : "80";
  return remote({ scheme, url, origin, path }, `${host}:${port ?? usual}`);
}

function parseSsh(url: string): GitUrl {
  const authority = /^ssh:\/\/([^/]*)/.exec(url)?.[1] ?? "";
  if (/:.*@/.test(authority)) return refused("holds a password; use a key of the account instead");
  const [whole, user, host = "", port, path = ""] = SSH.exec(url) ?? [];
  if (whole === undefined) return refused(`is not an address; ${FORMS}`);
  const problem = portProblem(port) ?? pathProblem(path);
  if (problem !== undefined) return refused(problem);
  const at = user === undefined ? host : `${user}@${host}`;
  const origin = `ssh://${at}${port === undefined ? "" : `:${port}`}`;
  return remote({ scheme: "ssh", url, origin, path }, `${at}:${port ?? "22"}`);
}

function parseScp(url: string): GitUrl {
  const [whole, user, host = "", path = ""] = SCP.exec(url) ?? [];
  if (whole === undefined) {
    return /^[^/]*:/.test(url) && url.includes("@")
      ? refused(/:.*@/.test(url) ? NO_CREDENTIALS : `is not an address; ${FORMS}`)
      : refused(`is a path on this machine or not an address; ${FORMS}`);
  }
  if (path.startsWith("-")) return refused(`has a path that begins with "-"`);
  if (/^[^/]*@/.test(path)) return refused(NO_CREDENTIALS);
  const problem = pathProblem(path);
  if (problem !== undefined) return refused(problem);
  const at = user === undefined ? host : `${user}@${host}`;
  return remote({ scheme: "ssh", url, origin: `${at}:`, path }, `${at}:scp`);
}

function local(url: string, path: string): GitUrl {
  const problem = pathProblem(path);
  return problem === undefined
    ? remote({ scheme: "file", url, origin: "file://", path }, "")
    : refused(problem);
}

function remote(parts: Omit<GitRemote, "key">, place: string): GitUrl {
  const path = parts.path.replace(/\/+$/, "");
  return {
    kind: "remote",
    remote: { ...parts, key: `${parts.scheme}://${place.toLowerCase()} ${path}` },
  };
}

function refused(message: string): GitUrl {
  return { kind: "refused", message };
}

function portProblem(port: string | undefined): string | undefined {
  const known = port === undefined || (Number(port) >= 1 && Number(port) <= 65_535);
  return known ? undefined : `has port ${port}; give 1 to 65535`;
}

function pathProblem(path: string): string | undefined {
  if (path.replaceAll("/", "") === "") return "names no repository after the host";
  if (/[?#]/.test(path)) {
    return 'contains "?" or "#", which the address of a repository must not contain';
  }
  if (/%(?:0|1|7f)/i.test(path)) return "contains a control character";
  return path.split("/").some((part) => part === "." || part === "..")
    ? 'contains "." or ".." as a part of its path'
    : undefined;
}
