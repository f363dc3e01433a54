/**
 * The rights of the console are decided on this machine: its own checks do not reach the messages
 * that it passes on.
 *
 * @module
 */
import type { ProjectName } from "@lib/core/ids.ts";
import type { AllowRules } from "@lib/features/console/allow_keys.ts";

/** A request of the console. */
export type ConsoleRequest =
  | { readonly kind: "terminal" }
  | { readonly kind: "script" }
  | {
    readonly kind: "command";
    /** The command on one line; absent where its words cannot be told apart on one. */
    readonly line: string | undefined;
    readonly hasVariables: boolean;
  };

/** For whom, and where; absent where the console does not say. */
export interface RequestedFor {
  readonly project?: string | undefined;
  readonly user?: string | undefined;
}

/** The answer to a request. */
export type Verdict =
  | { readonly kind: "allowed"; readonly project: ProjectName }
  /** The reason is one sentence without a final period. */
  | { readonly kind: "refused"; readonly reason: string };

/** The entry of `console.allow.commands` that stands for all commands. */
const ANY = "*";

// The most of a name, and of a command, that a message shows, in characters.
const NAME_MAX = 64;
const COMMAND_MAX = 256;

/** Decides about a request. */
export function checkAllowed(
  request: ConsoleRequest,
  { project, user }: RequestedFor,
  rules: AllowRules,
): Verdict {
  const problem = requestProblem(request, rules) ?? userProblem(user, rules);
  if (problem !== undefined) return refused(problem);
  const name = project ?? rules.projects[0];
  if (name === undefined) {
    return refused("No project is allowed for the console (console.allow.projects)");
  }
  const found = rules.projects.find((each) => each === name);
  if (found !== undefined) return { kind: "allowed", project: found };
  return refused(
    `Project ${shown(name)} is not allowed for the console (console.allow.projects)`,
  );
}

function requestProblem(request: ConsoleRequest, rules: AllowRules): string | undefined {
  switch (request.kind) {
    case "terminal":
      return rules.terminals
        ? undefined
        : "Terminals are not allowed for the console (console.allow.terminals)";
    case "script":
      return rules.scripts
        ? undefined
        : "Scripts are not allowed for the console (console.allow.scripts)";
    case "command":
      if (rules.commands.includes(ANY)) return undefined;
      if (request.line === undefined) {
        return `A command with words that have spaces is not allowed for the console without "*" ` +
          "(console.allow.commands)";
      }
      if (!rules.commands.includes(request.line)) {
        return `Command ${shown(request.line, COMMAND_MAX)} is not allowed for the console ` +
          "(console.allow.commands)";
      }
      // Variables change what a program does, and which one is found.
      return request.hasVariables
        ? "The command is allowed for the console without variables only (console.allow.commands)"
        : undefined;
  }
}

function userProblem(user: string | undefined, { users }: AllowRules): string | undefined {
  if (users === undefined) return undefined;
  if (user === undefined) return "The console does not name its user (console.allow.users)";
  return users.includes(user)
    ? undefined
    : `User ${shown(user)} of the console is not allowed (console.allow.users)`;
}

/** Returns a command's words on one line, if they can be told apart there. */
export function lineOf(words: readonly string[]): string | undefined {
  return words.every((word) => /^\S+$/.test(word)) ? words.join(" ") : undefined;
}

function refused(reason: string): Verdict {
  return { kind: "refused", reason };
}

function shown(name: string, max = NAME_MAX): string {
  return JSON.stringify(name.slice(0, max).replace(/\p{C}/gu, "\u{fffd}"));
}
