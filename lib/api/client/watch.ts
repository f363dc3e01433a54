/**
 * Views that follow the runner's events.
 *
 * @module
 */
import { outcome, stateColour } from "@lib/api/client/format.ts";
import { changes, type JobAnswer } from "@lib/api/client/jobs.ts";
import type { RunnerTransport } from "@lib/api/client/transport.ts";
import { ignore } from "@lib/core/errors.ts";
import { TaskGroup } from "@lib/core/task_group.ts";
import type { CliContext } from "@lib/api/client/context.ts";
import { redraw } from "@lib/foundations/cli/live_screen.ts";

/** A view. */
export interface View<T> {
  readonly runner: RunnerTransport;
  /** Queries the runner; called only after changes. */
  readonly load: (signal: AbortSignal) => Promise<T>;
  /** Renders the loaded value at the current time, a line each. */
  readonly render: (loaded: T, size: { readonly columns: number }) => Promise<readonly string[]>;
}

/** Changes within this time cause one query. */
const SETTLE_MS = 100;
/** Interval at which times on the screen are updated, without a query. */
const TICK_MS = 1_000;

/** Shows a view on the terminal and updates it until the signal aborts. */
export async function watchView<T>(context: CliContext, view: View<T>): Promise<never> {
  const { clock, out } = context;
  const failed = Promise.withResolvers<never>();
  await using tasks = new TaskGroup({ onFailure: (_name, error) => failed.reject(error) });
  let change = Promise.withResolvers<void>();
  let isStale = true;
  const changed = () => {
    isStale = true;
    change.resolve();
  };
  tasks.spawn("events", async (signal) => {
    for await (const _ of changes(context, view.runner, { signal, onOpen: changed })) changed();
  });
  const show = async (): Promise<never> => {
    let loaded: T | undefined;
    let shown: readonly string[] = [];
    while (true) {
      if (isStale) {
        isStale = false;
        change = Promise.withResolvers();
        loaded = await context.reconnect(tasks.signal).run(() => view.load(tasks.signal));
      }
      const { columns, rows } = out.size() ?? { columns: 80, rows: 24 };
      if (loaded !== undefined) {
        const lines = await view.render(loaded, { columns });
        const frame = lines.slice(0, Math.max(1, rows - 1));
        await out.write(new TextEncoder().encode(redraw(shown, frame)));
        shown = frame;
      }
      await clock.sleep(SETTLE_MS, { signal: tasks.signal });
      const tick = clock.sleep(TICK_MS, { signal: tasks.signal });
      // The later one is of no interest, nor is its abort at the end.
      await Promise.race([change.promise, tick]);
      void tick.catch(ignore("the view has ended"));
    }
  };
  return await Promise.race([show(), failed.promise]);
}

/** Prints the changes of jobs as they happen, until the signal aborts. */
export async function printChanges(
  context: CliContext,
  runner: RunnerTransport,
  options: {
    readonly since?: number | undefined;
    readonly isWanted: (job: JobAnswer) => boolean;
  },
): Promise<never> {
  const { out, flags, paint, signal } = context;
  const stream = changes(context, runner, { signal, since: options.since?.toString() });
  while (true) {
    const { value: { revision, job } } = await stream.next();
    if (!options.isWanted(job)) continue;
    if (flags.json) {
      await out.json({ revision: Number(revision), ...job });
      continue;
    }
    const words = [
      // A change has no time of its own, so this is the latest time of the job.
      job.finished_at ?? job.started_at ?? job.created_at,
      job.id,
      job.project,
      paint(stateColour(job.state), job.state),
      outcome(job),
    ];
    await out.line(words.filter((word) => word !== "").join("  "));
  }
}
