/**
 * Commands that start without the grammar and the configuration.
 *
 * @module
 */
import type { CliContext } from "@lib/api/client/context.ts";

/** Runs a command. @returns The exit code. */
export type QuickAction = (context: CliContext) => Promise<number>;

/**
 * Reads the words after a command's name, without the flags of all commands.
 *
 * @returns Its action; `undefined` if the grammar must read the line. What it reads must mean the
 * same to the grammar.
 */
export type QuickCommand = (args: readonly string[]) => QuickAction | undefined;

/** Commands by name. */
export type QuickCommands = Readonly<Record<string, QuickCommand>>;
