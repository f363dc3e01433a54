/**
 * Configuration keys of what a console may do here.
 *
 * @module
 */
import { flag, listOf, projectName, text, textList } from "@lib/core/value_types.ts";
import { section } from "@lib/foundations/config/config.ts";
import { key, optionalKey, type ValuesOf } from "@lib/foundations/config/key.ts";

const LINE = /^[^\p{Cc}]{1,4096}$/u;
const MAX_ENTRIES = 256;

/** Keys of what the console may do; by default nothing. */
export const CONSOLE_ALLOW = section({
  keys: {
    terminals: key(
      "console.allow.terminals",
      flag(),
      "Lets the console open terminals, which can do all that the account can.",
      false,
    ),
    commands: key(
      "console.allow.commands",
      listOf(text("a command on one line", LINE), {
        max: MAX_ENTRIES,
        accepts: "a list of commands",
      }),
      "Commands that the console may run, each to the letter and without variables; `*` is any.",
      [],
    ),
    scripts: key(
      "console.allow.scripts",
      flag(),
      "Lets the console run scripts, which can do all that the account can.",
      false,
    ),
    projects: key(
      "console.allow.projects",
      listOf(projectName(), { max: MAX_ENTRIES, accepts: "a list of projects" }),
      "Projects in which the console may do this. What names none is for the first.",
      [],
    ),
    users: optionalKey(
      "console.allow.users",
      textList("a list of users", /^[^\p{Cc}]{1,256}$/u),
      "Users of the console who may do this, where the console names them in its messages.",
      { text: "not checked" },
    ),
  },
});

/** The rights of the console. */
export type AllowRules = ValuesOf<typeof CONSOLE_ALLOW.keys>;
