/**
 * The commands about API keys: what may be given to each.
 *
 * @module
 */
import { object, or } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { multiple, optional } from "@optique/core/modifiers";
import { argument, command, constant, option } from "@optique/core/primitives";
import { choice, string } from "@optique/core/valueparser";
import { SCOPES } from "@lib/core/caller.ts";
import {
  type Completer,
  duration,
  examples,
  projectName,
} from "@lib/foundations/cli/grammar_values.ts";

/** `keys create|list|rotate|revoke`. */
export function keysCommand(completer: Completer) {
  const name = constant("keys");
  const id = argument(string({ metavar: "ID" }), {
    description: message`Of the key; see keys list`,
  });
  return command(
    "keys",
    or(
      command(
        "create",
        object({
          command: name,
          verb: constant("create"),
          name: option("--name", string({ metavar: "NAME" }), {
            description: message`Says whose key it is`,
          }),
          scopes: multiple(
            option("--scope", choice(SCOPES, { metavar: "SCOPE" }), {
              description: message`What it allows: submit, read or admin; may be repeated`,
            }),
            {
              min: 1,
              errors: { tooFew: message`Say what it allows: --scope submit, read or admin.` },
            },
          ),
          projects: multiple(option("-p", "--project", projectName(completer), {
            description: message`The project it is for; may be repeated; without it, all`,
          })),
          expires: optional(option("--expires", duration(), {
            description: message`How long it is good, such as 90d; without it, until revoked`,
          })),
        }),
        {
          brief: message`Make a key; it is printed once, on standard output`,
          footer: examples(
            "cicd-runner keys create --name CI --scope submit --project web --expires 90d",
          ),
        },
      ),
      command("list", object({ command: name, verb: constant("list") }), {
        brief: message`List keys, without the keys themselves`,
        footer: examples("cicd-runner keys list"),
      }),
      command(
        "rotate",
        object({
          command: name,
          verb: constant("rotate"),
          id,
          overlap: optional(option("--overlap", duration(), {
            description: message`How long the old one stays good; without it, it ends now`,
          })),
        }),
        {
          brief: message`Give a key another secret; it is printed once, on standard output`,
          footer: examples("cicd-runner keys rotate 0f1e2d3c4b5a6978 --overlap 1d"),
        },
      ),
      command("revoke", object({ command: name, verb: constant("revoke"), id }), {
        brief: message`Make a key useless, for good`,
        footer: examples("cicd-runner keys revoke 0f1e2d3c4b5a6978"),
      }),
      { errors: { noMatch: message`Say which: keys create, list, rotate or revoke.` } },
    ),
    {
      brief: message`Make and revoke the keys of those who reach the runner over TCP`,
      footer: examples("cicd-runner keys create --name CI --scope submit --project web"),
    },
  );
}
