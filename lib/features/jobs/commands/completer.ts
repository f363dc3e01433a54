/**
 * Ids and projects for the completion of the shell.
 *
 * @module
 */
import { withDeadline } from "@lib/core/abort.ts";
import type { RunnerClient } from "@lib/features/jobs/client/runner_client.ts";
import type { Completer, NamedValue } from "@lib/foundations/cli/grammar_values.ts";

/** Someone waits for the completion with a finger on the key. */
const ASK_MS = 500;

/**
 * Makes a completer that asks the runner; whatever goes wrong, there is just nothing to complete.
 *
 * @param connect Makes a client.
 */
export function makeCompleter(
  connect: (signal: AbortSignal) => Promise<RunnerClient>,
  signal: AbortSignal,
): Completer {
  const ask = async (
    read: (client: RunnerClient, signal: AbortSignal) => Promise<readonly NamedValue[]>,
  ): Promise<readonly NamedValue[]> => {
    using deadline = withDeadline(signal, ASK_MS, "the runner");
    try {
      using client = await connect(deadline);
      return await read(client, deadline);
    } catch {
      // A message here would end up in the user's half-written command line.
      return [];
    }
  };
  return {
    jobIds: () =>
      ask(async (client, own) => {
        const { jobs } = await client.jobs({ limit: 50 }, own);
        return jobs.map(({ id, project, state }) => ({
          value: id,
          description: `${project} ${state}`,
        }));
      }),
    projects: () =>
      ask(async (client, own) => {
        const found = await client.projects(own);
        return found.map(({ project, queued, in_flight }) => ({
          value: project,
          description: `${in_flight} at work, ${queued} queued`,
        }));
      }),
  };
}
