/**
 * The flags of `clean` and `retention`.
 *
 * @module
 */
import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { command, constant } from "@optique/core/primitives";
import { examples, toggle } from "@lib/foundations/cli/grammar_values.ts";

/** `clean`. */
export function cleanCommand() {
  return command(
    "clean",
    object({
      command: constant("clean"),
      dryRun: toggle(["--dry-run"], message`Show what would be removed, and remove nothing`),
    }),
    {
      brief: message`Remove what jobs left: old jobs, caches, images, copies of repositories`,
      description:
        message`Removes what is left behind or beyond its limits, and more while less disk is free
        than retention.min_free_disk. Exits with 1 if something could not be removed.`,
      footer: examples("cicd-runner clean --dry-run", "cicd-runner clean"),
    },
  );
}

/** `retention`: the part of cleaning that concerns ended jobs. */
export function retentionCommand() {
  return command(
    "retention",
    object({
      command: constant("retention"),
      dryRun: toggle(["--dry-run"], message`Show what would be removed; the default`),
      sweep: toggle(["--sweep"], message`Remove it now`),
    }),
    {
      brief: message`Show or remove the ended jobs beyond the limits of retention`,
      footer: examples("cicd-runner retention --sweep"),
    },
  );
}
