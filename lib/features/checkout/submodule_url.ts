/**
 * Addresses of submodules, which may be relative to that of their parent.
 *
 * @module
 */
import { type GitRemote, type GitUrl, parseGitUrl } from "@lib/spine/spec/git_url.ts";

/** Reads the `url` of a submodule as git does: `../lib.git` is a sibling of the parent. */
export function resolveSubmoduleUrl(parent: GitRemote, url: string): GitUrl {
  if (!/^\.\.?\//.test(url)) return parseGitUrl(url);
  const parts = parent.path.replace(/\/+$/, "").split("/");
  let rest = url;
  for (;;) {
    if (rest.startsWith("./")) {
      rest = rest.slice("./".length);
    } else if (rest.startsWith("../")) {
      rest = rest.slice("../".length);
      // The first part of an absolute path is empty: above it there is nothing.
      if (parts.length <= (parent.path.startsWith("/") ? 1 : 0)) {
        return { kind: "refused", message: "leads above the server's root" };
      }
      parts.pop();
    } else break;
  }
  return parseGitUrl(`${parent.origin}${[...parts, rest].join("/")}`);
}
