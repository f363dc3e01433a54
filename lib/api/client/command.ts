/**
 * A command of the command line: what may be given to it, and what runs it.
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

/** A command as it was given, ready to run. */
export type Invocation = {
  /** Runs it. @returns The exit code. */
  readonly run: (context: CliContext) => Promise<number>;
};

/** A command whose flags are forgotten, as the command line keeps it. */
export interface Command {
  readonly name: string;
  /** Names the command that the help lists it after. Default: after the one before it. */
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
  /** Makes the parser of what follows the name. */
  readonly flags: (completer: Completer) => Parser<Mode, Flags, unknown>;
  /**
   * Runs the command; imports what takes long to load only here.
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

/** Options for {@linkcode commandGroup}. */
export interface CommandGroupOptions extends CommandHelp {
  readonly commands: readonly Command[];
  /** The answer to a name that is none of them. */
  readonly noMatch: Message;
}

/** Makes a command of commands, such as `keys create`. */
export function commandGroup(options: CommandGroupOptions): Command {
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
