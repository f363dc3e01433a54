/**
 * Views that are kept up to date by the runner's events.
 *
 * @module
 */
import { followEvents, type JobChange } from "@lib/features/jobs/client/follow_events.ts";
import type { RunnerClient } from "@lib/features/jobs/client/runner_client.ts";
import { ignore } from "@lib/core/errors.ts";
import { TaskGroup } from "@lib/core/task_group.ts";
import type { CliContext } from "@lib/api/client/context.ts";
import { redraw } from "@lib/foundations/cli/live_screen.ts";

/** A view. */
export interface View<T> {
  readonly client: RunnerClient;
  /** Asks the runner; called after changes only. */
  readonly load: (signal: AbortSignal) => Promise<T>;
  /** Renders what was loaded, as it looks now; a line each. */
  readonly render: (loaded: T, size: { readonly columns: number }) => readonly string[];
}

/** Changes that come together are asked about once. */
const SETTLE_MS = 100;
/** How often times on the screen move on; the runner is not asked for that. */
const TICK_MS = 1_000;

/** Shows a view on the terminal and keeps it up to date, until the signal aborts. */
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
    for await (const _ of changes(context, view.client, { signal, onOpen: changed })) changed();
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
        const frame = view.render(loaded, { columns }).slice(0, Math.max(1, rows - 1));
        await out.write(new TextEncoder().encode(redraw(shown, frame)));
        shown = frame;
      }
      await clock.sleep(SETTLE_MS, { signal: tasks.signal });
      const tick = clock.sleep(TICK_MS, { signal: tasks.signal });
      // Whichever comes later is of no interest, nor is that it was given up at the end.
      await Promise.race([change.promise, tick]);
      void tick.catch(ignore("the view has ended"));
    }
  };
  return await Promise.race([show(), failed.promise]);
}

/** The changes of jobs, with the runner's restarts noted. */
export async function* changes(
  context: CliContext,
  client: RunnerClient,
  options: {
    readonly signal: AbortSignal;
    readonly since?: string | undefined;
    readonly onOpen?: () => void;
  },
): AsyncGenerator<JobChange, never, undefined> {
  const { signal, since, onOpen } = options;
  return yield* followEvents({
    open: (from) => client.events(from, signal),
    since,
    reconnect: context.reconnect(signal),
    ...(onOpen === undefined ? {} : { onOpen }),
  });
}
