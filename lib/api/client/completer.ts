/**
 * Ids and projects for the completion of the shell.
 *
 * @module
 */
import { withDeadline } from "@lib/core/abort.ts";
import { listJobs, listProjects } from "@lib/api/client/jobs.ts";
import type { RunnerTransport } from "@lib/api/client/transport.ts";
import type { Completer, NamedValue } from "@lib/foundations/cli/grammar_values.ts";

/** Someone waits for the completion with a finger on the key. */
const ASK_MS = 500;

/**
 * Makes a completer that asks the runner; whatever goes wrong, there is just nothing to complete.
 *
 * @param connect Makes what requests are sent with.
 */
export function makeCompleter(
  connect: (signal: AbortSignal) => Promise<RunnerTransport>,
  signal: AbortSignal,
): Completer {
  const ask = async (
    read: (runner: RunnerTransport, signal: AbortSignal) => Promise<readonly NamedValue[]>,
  ): Promise<readonly NamedValue[]> => {
    using deadline = withDeadline(signal, ASK_MS, "the runner");
    try {
      using runner = await connect(deadline);
      return await read(runner, deadline);
    } catch {
      // A message here would end up in the user's half-written command line.
      return [];
    }
  };
  return {
    jobIds: () =>
      ask(async (runner, own) => {
        const { jobs } = await listJobs(runner, { limit: 50 }, own);
        return jobs.map(({ id, project, state }) => ({
          value: id,
          description: `${project} ${state}`,
        }));
      }),
    projects: () =>
      ask(async (runner, own) => {
        const found = await listProjects(runner, own);
        return found.map(({ project, queued, in_flight }) => ({
          value: project,
          description: `${in_flight} at work, ${queued} queued`,
        }));
      }),
  };
}
