/**
 * A command of the command line: its grammar and its action.
 *
 * @module
 */
import { or } from "@optique/core/constructs";
import type { Message } from "@optique/core/message";
import { map } from "@optique/core/modifiers";
import type { Mode, Parser } from "@optique/core/parser";
import { command } from "@optique/core/primitives";
import type { CliContext } from "@lib/api/client/context.ts";
import { type Completer, examples } from "@lib/foundations/cli/grammar_values.ts";

/** A parsed command, ready to run. */
export type Invocation = {
  /** Runs it. @returns The exit code. */
  readonly run: (context: CliContext) => Promise<number>;
};

/** A command without its own types, as the command line stores it. */
export interface Command {
  readonly name: string;
  /** The command after which the help lists it. Default: the previous one. */
  readonly listedAfter?: string;
  readonly parser: (completer: Completer) => Parser<Mode, Invocation, unknown>;
}

/** The texts of a command's help. */
interface CommandHelp {
  readonly name: string;
  readonly brief: Message;
  readonly description?: Message;
  readonly examples: readonly string[];
  readonly listedAfter?: string;
}

/** Options for {@linkcode defineCommand}. */
export interface CommandOptions<Flags> extends CommandHelp {
  /** Makes the parser of its flags and arguments. */
  readonly flags: (completer: Completer) => Parser<Mode, Flags, unknown>;
  /**
   * Runs the command; heavy modules are imported only here.
   *
   * @returns The exit code.
   */
  readonly run: (flags: Flags, context: CliContext) => Promise<number>;
}

/** Makes a command. */
export function defineCommand<Flags>(options: CommandOptions<Flags>): Command {
  return named(options, (completer) =>
    map(options.flags(completer), (flags): Invocation => ({
      run: (context) => options.run(flags, context),
    })));
}

/**
 * Makes a command of commands, such as `keys create`.
 *
 * @param options `noMatch` is the error for a name that is none of them.
 */
export function commandGroup(
  options: CommandHelp & { readonly commands: readonly Command[]; readonly noMatch: Message },
): Command {
  const { commands, noMatch } = options;
  return named(
    options,
    (completer) => or(...commands.map(({ parser }) => parser(completer)), { errors: { noMatch } }),
  );
}

function named(help: CommandHelp, parser: Command["parser"]): Command {
  const { name, brief, description, listedAfter } = help;
  return {
    name,
    ...(listedAfter === undefined ? {} : { listedAfter }),
    parser: (completer) =>
      command(name, parser(completer), {
        brief,
        ...(description === undefined ? {} : { description }),
        footer: examples(...help.examples),
      }),
  };
}
