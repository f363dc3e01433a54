/**
 * Configuration keys of checkouts.
 *
 * @module
 */
import { choices, duration, flag, path } from "@lib/core/value_types.ts";
import { section } from "@lib/foundations/config/config.ts";
import { key, optionalKey } from "@lib/foundations/config/key.ts";
import { age } from "@lib/foundations/config/ranges.ts";

/** How repositories are reached. */
export const GIT = section({
  keys: {
    schemes: key(
      "git.schemes",
      choices(["https", "http", "ssh", "file"]),
      "How repositories may be reached. `file` opens every repository on this machine that the " +
        "account may read.",
      ["https", "http", "ssh"],
    ),
    mirrors: key(
      "git.mirrors",
      flag(),
      "Keep a bare copy of each repository, so that a checkout fetches only what is new.",
      true,
    ),
    knownHosts: optionalKey(
      "git.known_hosts",
      path("absolute"),
      "File of the host keys that are trusted for `ssh://`.",
      { text: "the account's `~/.ssh/known_hosts`" },
    ),
  },
});

/** Limits of the copies of repositories. */
export const MIRRORS = section({
  keys: {
    maxAgeMs: key(
      "clean.mirrors_unused_for",
      duration(age),
      "Copies of repositories that no job used for so long are removed.",
      "30d",
    ),
  },
});
