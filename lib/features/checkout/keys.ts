/**
 * Configuration keys of checkouts.
 *
 * @module
 */
import { choices, duration, flag, path } from "@lib/core/value_types.ts";
import { section } from "@lib/foundations/config/config.ts";
import { key, optionalKey } from "@lib/foundations/config/key.ts";
import { age } from "@lib/foundations/config/ranges.ts";

/** Keys of checkouts. */
export const GIT = section({
  keys: {
    schemes: key(
      "git.schemes",
      choices(["https", "http", "ssh", "file"]),
      "Allowed protocols of repositories. `file` allows every repository on this machine that the " +
        "account can read.",
      ["https", "http", "ssh"],
    ),
    mirrors: key(
      "git.mirrors",
      flag(),
      "Keep a bare copy of each repository, so that a checkout fetches only new commits.",
      true,
    ),
    knownHosts: optionalKey(
      "git.known_hosts",
      path("absolute"),
      "File of trusted host keys for `ssh://`.",
      { text: "the account's `~/.ssh/known_hosts`" },
    ),
  },
});

/** Limits of repository copies. */
export const MIRRORS = section({
  keys: {
    maxAgeMs: key(
      "clean.mirrors_unused_for",
      duration(age),
      "Repository copies that no job has used for this long are removed.",
      "30d",
    ),
  },
});
