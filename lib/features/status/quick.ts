/**
 * `status`, read without the grammar.
 *
 * @module
 */
import type { QuickCommands } from "@lib/api/client/quick.ts";
import { runStatus } from "@lib/features/status/show_status.ts";
import { quickArgs } from "@lib/foundations/cli/quick_args.ts";

/** The commands about the runner that need no grammar. */
export const quickCommands: QuickCommands = {
  status(args) {
    const read = quickArgs(args, { toggles: { watch: ["-w", "--watch"] }, texts: {} });
    if (read === undefined || read.words.length > 0) return;
    return (context) => runStatus(read.toggles, context);
  },
};
