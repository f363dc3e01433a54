/**
 * `top`: shows the machine and its jobs again and again.
 *
 * @module
 */
import type { CliContext } from "@lib/api/client/context.ts";
import { listJobs, listProjects } from "@lib/api/client/jobs.ts";
import type { RunnerTransport } from "@lib/api/client/transport.ts";
import { ignore } from "@lib/core/errors.ts";
import { type HostAnswer, sampleOfHost, showQueue } from "@lib/features/host/client.ts";
import { renderTop } from "@lib/features/host/top/render_top.ts";
import { makeFrame, type TopFrame, type TopLoad } from "@lib/features/host/top/top_frame.ts";
import { openLiveTerminal } from "@lib/foundations/cli/live_terminal.ts";

/** Flags of `top`. */
export interface TopFlags {
  readonly once: boolean;
  readonly intervalMs: number;
}

/** Time between the two looks of a single frame. */
const ONCE_MS = 500;
/** Frames that sparklines look back. */
const HISTORY = 60;
const MAX_JOBS = 100;
const MAX_QUEUED = 5;
/** Width where there is no terminal. */
const PLAIN_COLUMNS = 120;
const CTRL_C = "\x03";

/** Runs `top`. */
export async function runTop(flags: TopFlags, context: CliContext): Promise<number> {
  const { out } = context;
  using runner = await context.connect();
  const top = new Top(context, runner);
  if (!flags.once && out.isTerminal && !context.flags.json) return await top.live(flags.intervalMs);
  await top.look();
  for (let waitMs = Math.min(flags.intervalMs, ONCE_MS); true; waitMs = flags.intervalMs) {
    await context.clock.sleep(waitMs, { signal: context.signal });
    const { frame } = await top.look();
    if (context.flags.json) await out.json(frame);
    else {
      for (const line of await top.lines(out.size()?.columns ?? PLAIN_COLUMNS)) {
        await out.line(line);
      }
      if (!flags.once) await out.line("");
    }
    if (flags.once) return 0;
  }
}

class Top {
  readonly #context: CliContext;
  readonly #runner: RunnerTransport;
  readonly #cpu: (number | undefined)[] = [];
  readonly #memory: (number | undefined)[] = [];
  #jobs = new Map<string, readonly (number | undefined)[]>();
  #before: HostAnswer | undefined;
  #shown: { readonly load: TopLoad; readonly frame: TopFrame } | undefined;

  constructor(context: CliContext, runner: RunnerTransport) {
    this.#context = context;
    this.#runner = runner;
  }

  /** Looks at the machine, and remembers what sparklines show. */
  async look(signal = this.#context.signal): Promise<{ readonly frame: TopFrame }> {
    const runner = this.#runner;
    const ask = async (): Promise<TopLoad> => {
      const [host, queue, projects, working, queued] = await Promise.all([
        sampleOfHost(runner, signal),
        showQueue(runner, signal),
        listProjects(runner, signal),
        listJobs(runner, { states: ["starting", "running"], limit: MAX_JOBS }, signal),
        listJobs(runner, { states: ["queued"], limit: MAX_QUEUED }, signal),
      ]);
      return { host, queue, projects, working: working.jobs, queued: queued.jobs };
    };
    // Who begins to look where no runner is, has to be told, and not to wait.
    const load = this.#before === undefined
      ? await ask()
      : await this.#context.reconnect(signal).run(ask);
    const frame = makeFrame(load, this.#before);
    this.#before = load.host;
    remember(this.#cpu, frame.host.cpu ?? undefined);
    remember(this.#memory, frame.host.memory);
    this.#jobs = new Map(frame.jobs.map(({ id, cpus }) => {
      const line = [...this.#jobs.get(id) ?? []];
      remember(line, cpus ?? undefined);
      return [id, line];
    }));
    this.#shown = { load, frame };
    return { frame };
  }

  /** Renders the latest frame. */
  async lines(columns: number): Promise<readonly string[]> {
    const { clock, paint } = this.#context;
    if (this.#shown === undefined) return [];
    const { load, frame } = this.#shown;
    return await renderTop(frame, {
      history: { cpu: this.#cpu, memory: this.#memory, jobs: this.#jobs },
      jobs: load.working,
      queued: load.queued,
      now: clock.now(),
      paint,
      columns,
    });
  }

  /** Fills the terminal until `q`, Ctrl-C or a signal. */
  async live(intervalMs: number): Promise<number> {
    const { clock, out } = this.#context;
    const end = new AbortController();
    let endedBy: Deno.Signal | undefined;
    let resized = Promise.withResolvers<void>();
    {
      using terminal = openLiveTerminal({
        onKey: (key) => /^[qQ]$/.test(key) || key === CTRL_C ? end.abort() : undefined,
        onResize: () => resized.resolve(),
        onEnd(signal) {
          endedBy = signal;
          end.abort();
        },
      });
      const draw = async () => {
        resized = Promise.withResolvers();
        const { columns, rows } = out.size() ?? { columns: PLAIN_COLUMNS, rows: 24 };
        terminal.show((await this.lines(columns)).slice(0, Math.max(1, rows)));
      };
      try {
        await this.look(end.signal);
        // Rates need a second look, for which nobody should wait long.
        for (let waitMs = Math.min(intervalMs, ONCE_MS); true; waitMs = intervalMs) {
          const tick = clock.sleep(waitMs, { signal: end.signal });
          void tick.catch(ignore("the view has ended"));
          for (let isOver = false; !isOver;) {
            await draw();
            isOver = await Promise.race([tick.then(() => true), resized.promise.then(() => false)]);
          }
          await this.look(end.signal);
        }
      } catch (error) {
        if (!end.signal.aborted) throw error;
      }
    }
    // The shell learns that it was a signal, once the terminal is as before.
    if (endedBy !== undefined) Deno.kill(Deno.pid, endedBy);
    return 0;
  }
}

function remember(line: (number | undefined)[], value: number | undefined): void {
  line.push(value);
  if (line.length > HISTORY) line.shift();
}
