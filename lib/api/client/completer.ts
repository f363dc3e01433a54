/**
 * Job ids and projects for shell completion.
 *
 * @module
 */
import { withDeadline } from "@lib/core/abort.ts";
import { listJobs, listProjects } from "@lib/api/client/jobs.ts";
import type { RunnerTransport } from "@lib/api/client/transport.ts";
import type { Completer, NamedValue } from "@lib/foundations/cli/grammar_values.ts";

/** Short, as the user waits for the completion. */
const QUERY_MS = 500;

/** Makes a completer that queries the runner; any failure means that there are no candidates. */
export function makeCompleter(
  connect: (signal: AbortSignal) => Promise<RunnerTransport>,
  signal: AbortSignal,
): Completer {
  const query = async (
    read: (runner: RunnerTransport, signal: AbortSignal) => Promise<readonly NamedValue[]>,
  ): Promise<readonly NamedValue[]> => {
    using deadline = withDeadline(signal, QUERY_MS, "the runner");
    try {
      using runner = await connect(deadline);
      return await read(runner, deadline);
    } catch {
      // A message would end up in the user's half-written command line.
      return [];
    }
  };
  return {
    jobIds: () =>
      query(async (runner, own) =>
        (await listJobs(runner, { limit: 50 }, own)).jobs.map(({ id, project, state }) => ({
          value: id,
          description: `${project} ${state}`,
        }))
      ),
    projects: () =>
      query(async (runner, own) =>
        (await listProjects(runner, own)).map(({ project, queued, in_flight }) => ({
          value: project,
          description: `${in_flight} running, ${queued} queued`,
        }))
      ),
  };
}
