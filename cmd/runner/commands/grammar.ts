/**
 * The whole command line.
 *
 * @module
 */
import { merge, object, or } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { optional } from "@optique/core/modifiers";
import type { InferValue } from "@optique/core/parser";
import { option } from "@optique/core/primitives";
import { string } from "@optique/core/valueparser";
import { artifactsCommand } from "@lib/features/artifacts/grammar.ts";
import { cleanCommand, retentionCommand } from "@lib/features/cleaning/grammar.ts";
import {
  changeCommands,
  lookCommands,
  submitCommands,
} from "@lib/features/jobs/commands/grammar_jobs.ts";
import { keysCommand } from "@lib/features/access/grammar.ts";
import { installationCommands, queueCommands } from "@lib/features/status/grammar.ts";
import { type Completer, filePath, toggle } from "@lib/foundations/cli/grammar_values.ts";

/** Makes the parser; it reads nothing but its arguments. */
export function makeGrammar(completer: Completer) {
  return merge(
    or(
      submitCommands(completer),
      lookCommands(completer),
      artifactsCommand(completer),
      changeCommands(completer),
      queueCommands(completer),
      retentionCommand(),
      cleanCommand(),
      keysCommand(completer),
      installationCommands(),
    ),
    object("Everywhere", {
      socket: optional(option("--socket", filePath("PATH"), {
        description: message`The runner's socket; else as configured`,
      })),
      url: optional(option("--url", string({ metavar: "URL" }), {
        description: message`A runner elsewhere, with the key in $CICD_API_KEY; else $CICD_URL`,
      })),
      config: optional(option("--config", filePath("FILE"), {
        description: message`The configuration; else the usual place`,
      })),
      json: toggle(["--json"], message`Write JSON; one document a line for lists and streams`),
    }),
  );
}

/** A command line, parsed. */
export type Invocation = InferValue<ReturnType<typeof makeGrammar>>;

/** A command line of one command. */
export type InvocationOf<Name extends Invocation["command"]> = Extract<
  Invocation,
  { readonly command: Name }
>;
