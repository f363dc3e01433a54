/**
 * The terminals of an agent.
 *
 * @module
 */
import { raceAbort } from "@lib/core/abort.ts";
import { type Clock, toRfc3339 } from "@lib/core/clock.ts";
import { CicdError, messageOf } from "@lib/core/errors.ts";
import type { JobId, ProjectName } from "@lib/core/ids.ts";
import type { Logger } from "@lib/core/logger.ts";
import { TaskGroup } from "@lib/core/task_group.ts";
import {
  bytesIfThereSync,
  directoriesIn,
  writeAtomicSync,
} from "@lib/foundations/files/records.ts";
import type { WebSocketSession } from "@lib/foundations/http/web_socket.ts";
import type { TerminalRules } from "@lib/features/terminals/keys.ts";
import type { ProgramEnd, Programs, RunningProgram } from "@lib/features/terminals/program.ts";
import {
  endText,
  INPUT_MAX_BYTES,
  tame,
  type TerminalEnd,
  type TerminalOrder,
} from "@lib/features/terminals/protocol.ts";
import { readRecord, type TerminalRecord } from "@lib/features/terminals/record.ts";
import { Recording } from "@lib/features/terminals/recording.ts";
import { newTerminalId } from "@lib/features/terminals/spare_program.ts";
import { TerminalSession } from "@lib/features/terminals/session.ts";
import type { TerminalProgram } from "@lib/features/terminals/terminal_program.ts";
import type { TerminalAnswer } from "@lib/features/terminals/answers.ts";

/** Options for {@linkcode TerminalHost}. */
export interface TerminalHostOptions {
  readonly project: ProjectName;
  readonly programs: Programs;
  readonly rules: () => TerminalRules;
  /** Finds the program of an order; no command is the account's shell. */
  readonly programOf: (
    order: TerminalOrder,
    signal: AbortSignal,
  ) => TerminalProgram | Promise<TerminalProgram>;
  /** Holds a directory for each open terminal; it must not survive the machine's end. */
  readonly directory: string;
  readonly recordings: string;
  readonly clock: Clock;
  readonly log: Logger;
}

interface OpenTerminal {
  readonly record: TerminalRecord;
  readonly session: TerminalSession;
  readonly program: RunningProgram;
  /** Resolves when the end is reported. */
  readonly over: Promise<void>;
  reason: "killed" | "idle" | "time_limit" | undefined;
}

/** The open terminals. Disposing it leaves those that outlive the agent as they are. */
export class TerminalHost implements AsyncDisposable {
  readonly #options: TerminalHostOptions;
  readonly #open = new Map<string, OpenTerminal>();
  readonly #tasks: TaskGroup;
  #starting = 0;

  constructor(options: TerminalHostOptions) {
    this.#options = options;
    this.#tasks = new TaskGroup({
      onFailure: (name, error) => options.log.error("A task of a terminal failed", { name, error }),
    });
  }

  /** Number of open terminals. */
  get size(): number {
    return this.#open.size + this.#starting;
  }

  /** Takes over the terminals that an earlier agent has left. */
  async adopt(signal: AbortSignal): Promise<void> {
    const { directory, programs, log } = this.#options;
    for (const id of directoriesIn(directory)) {
      try {
        const record = readRecord(directory, id);
        // The agent may have been killed before it wrote one: its program must not go on unseen.
        const program = await programs.adopt(id, record?.device, signal);
        if (record === undefined || program === undefined) {
          if (record !== undefined || programs.isSpare?.(id) !== true) {
            log.warning("Terminal lost", { session: id, ...(record && { by: record.by }) });
          }
          await removeTree(`${directory}/${id}`);
          continue;
        }
        const recording = record.recorded ? this.#record(record) : undefined;
        const terminal = this.#begin(record, program, recording);
        const screen = bytesIfThereSync(`${directory}/${id}/screen`);
        if (screen !== undefined) terminal.session.restore(screen);
        log.info("Terminal taken over", { session: id, by: record.by });
      } catch (error) {
        log.error("Cannot take over a terminal", { session: id, error });
      }
    }
  }

  /** Opens or joins a terminal; the session serves the client. */
  async serve(order: TerminalOrder, signal: AbortSignal): Promise<WebSocketSession> {
    const terminal = order.session === undefined
      ? await this.#start(order, signal)
      : this.#find(order.session);
    const { record, session } = terminal;
    const { log } = this.#options;
    const serve: WebSocketSession = async (peer) => {
      log.info("Terminal joined", { session: record.id, by: order.by });
      const end = await session.join(peer, order);
      log.info("Terminal left", { session: record.id, by: order.by, ended: end !== undefined });
    };
    return Object.assign(serve, { maxReceiveBytes: INPUT_MAX_BYTES });
  }

  /** Lists the open terminals. */
  list(): readonly TerminalAnswer[] {
    const { project, clock } = this.#options;
    const now = clock.now();
    return [...this.#open.values()].map(({ record, session, program }) => ({
      id: record.id,
      project,
      job: record.job ?? null,
      by: record.by,
      command: tame(record.command),
      title: tame(session.title),
      foreground: tame(program.foreground() ?? ""),
      started_at: toRfc3339(record.started_at),
      idle_seconds: Math.floor((now - session.usedAt) / 1_000),
      columns: session.size.columns,
      rows: session.size.rows,
      recording: session.isRecorded,
      stalled_seconds: session.stalledAt === undefined
        ? null
        : Math.floor((now - session.stalledAt) / 1_000),
      viewers: [...session.viewers].map(({ role, options }) => ({
        by: options.by,
        role,
        since: toRfc3339(options.joinedAt),
      })),
    }));
  }

  /** Ends a terminal and everything in it; returns its id. @throws {CicdError} `not_found` */
  async kill(prefix: string, by: string, signal: AbortSignal): Promise<string> {
    const terminal = this.#find(prefix);
    this.#options.log.info("Terminal killed", { session: terminal.record.id, by });
    await this.#stop(terminal, "killed", `killed ${by}`);
    await raceAbort(terminal.over, signal);
    return terminal.record.id;
  }

  /** Ends the terminals in the place of a job, which is about to go. */
  async endOf(jobId: JobId): Promise<void> {
    const own = [...this.#open.values()].filter(({ record }) => record.job === jobId);
    await Promise.all(own.map(async (terminal) => {
      await this.#stop(terminal, "killed", "the place of its job goes");
      // One that does not end has no place all the same.
      await Promise.race([terminal.over, this.#options.clock.sleep(END_MS)]);
    }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#tasks[Symbol.asyncDispose]();
    for (const { session } of this.#open.values()) session[Symbol.dispose]();
    await this.#options.programs[Symbol.asyncDispose]();
  }

  #find(prefix: string): OpenTerminal {
    const ids = [...this.#open.keys()].filter((id) => id.startsWith(prefix));
    const [id, another] = ids;
    const terminal = another === undefined ? this.#open.get(id ?? "") : undefined;
    if (terminal !== undefined) return terminal;
    const why = id === undefined ? "it has ended, or never was" : "several ids begin with that";
    throw new CicdError("not_found", `Cannot find terminal "${tame(prefix, 40)}": ${why}`);
  }

  async #start(order: TerminalOrder, signal: AbortSignal): Promise<OpenTerminal> {
    const { programs, programOf, rules, clock, directory, project } = this.#options;
    const { maxSessions, maxMs } = rules();
    if (this.size >= maxSessions) {
      throw new CicdError(
        "state_conflict",
        `Cannot open a terminal in "${project}": ${maxSessions} are open (terminals.max_sessions)`,
      );
    }
    let id = newTerminalId();
    const { columns, rows, by } = order;
    const recorded = this.#isRecorded(order);
    this.#starting++;
    try {
      const program = await programOf(order, signal);
      id = programs.reserve?.({ ...program, maxMs }) ?? id;
      Deno.mkdirSync(`${directory}/${id}`, { recursive: true, mode: 0o700 });
      const running = await programs.start({ ...program, id, maxMs, columns, rows }, signal);
      const command = program.shown.slice(0, 1_000);
      const record = {
        id,
        by,
        started_at: clock.now(),
        command,
        columns,
        rows,
        device: running.device,
        recorded,
        ...(order.attempt === undefined ? {} : { job: order.attempt.jobId }),
        ...(order.isOwned === true ? { owned: true } : {}),
      };
      const recording = record.recorded ? this.#record(record, program.env) : undefined;
      this.#options.log.info("Terminal opened", {
        session: id,
        by,
        command: tame(command),
        ...(record.job === undefined ? {} : { jobId: record.job }),
      });
      return this.#begin(record, running, recording);
    } catch (error) {
      await removeTree(`${directory}/${id}`);
      throw error;
    } finally {
      this.#starting--;
    }
  }

  /** @throws {CicdError} `forbidden` */
  #isRecorded({ isRecorded }: TerminalOrder): boolean {
    const { record } = this.#options.rules();
    if (isRecorded && record === "never") {
      throw new CicdError("forbidden", "Cannot record the terminal: terminals.record is never");
    }
    return isRecorded || record === "always";
  }

  /** @param env Of a new terminal; absent: the recording of an earlier agent goes on. */
  #record(
    { id, command, columns, rows, started_at }: TerminalRecord,
    env?: TerminalProgram["env"],
  ): Recording {
    const { rules, recordings, clock, log, project } = this.#options;
    return new Recording({
      path: `${recordings}/${id}.cast`,
      maxBytes: rules().recordMaxBytes,
      startedAt: started_at,
      ...(env === undefined ? {} : {
        header: {
          width: columns,
          height: rows,
          timestamp: Math.floor(started_at / 1_000),
          command,
          title: `${project} ${id}`,
          env: { TERM: env["TERM"] ?? "", SHELL: env["SHELL"] ?? "" },
        },
      }),
      now: () => clock.now(),
      onStopped: (why) => {
        log.warning("The recording of a terminal stopped", { session: id, why });
        this.#open.get(id)?.session.notice("recording_stopped", `the recording stopped: ${why}`);
      },
    });
  }

  #begin(
    record: TerminalRecord,
    program: RunningProgram,
    recording: Recording | undefined,
  ): OpenTerminal {
    const { clock, log, directory, programs } = this.#options;
    const { id } = record;
    const recordFile = `${directory}/${id}/record.json`;
    const session = new TerminalSession({
      id,
      size: record,
      open: (onData) => program.open(onData),
      ...(programs.outlivesAgent ? { screenFile: `${directory}/${id}/screen` } : {}),
      ...(recording === undefined ? {} : { recording }),
      onResized: (size) => writeAtomicSync(recordFile, JSON.stringify({ ...record, ...size })),
      clock,
      log,
    });
    writeAtomicSync(recordFile, JSON.stringify(record));
    const over = Promise.withResolvers<void>();
    const terminal: OpenTerminal = {
      record,
      session,
      program,
      over: over.promise,
      reason: undefined,
    };
    this.#open.set(id, terminal);
    this.#tasks.spawn(`limits of ${id}`, (signal) => this.#limit(terminal, signal));
    this.#tasks.spawn(`end of ${id}`, async (signal) => {
      const end = await raceAbort(program.ended, signal);
      await this.#finish(terminal, end);
      over.resolve();
    });
    return terminal;
  }

  async #finish({ record, session, program, reason }: OpenTerminal, how: ProgramEnd) {
    const { clock, log, directory } = this.#options;
    const { id, by, started_at } = record;
    const why = reason ?? (how.isTimeLimit ? "time_limit" : how.isLost ? "lost" : "exited");
    const end: TerminalEnd = { exit_code: how.exitCode, signal: how.signal, reason: why };
    // As long as the service manager has the terminal too, its output does not end.
    await program.forget().catch((error: unknown) =>
      log.warning("Cannot let go of the descriptors of a terminal", { session: id, error })
    );
    await session.finish(end, endText(end));
    const { inputBytes, outputBytes } = session;
    const seconds = Math.round((clock.now() - started_at) / 1_000);
    log.info("Terminal ended", { session: id, by, seconds, ...end, inputBytes, outputBytes });
    this.#open.delete(id);
    session[Symbol.dispose]();
    try {
      await removeTree(`${directory}/${id}`);
    } catch (error) {
      log.warning("Cannot remove the record of a terminal", { session: id, error });
    }
  }

  /** Ends a terminal at its limits, and says why before. */
  async #limit(terminal: OpenTerminal, signal: AbortSignal): Promise<void> {
    const { clock, rules } = this.#options;
    const { session, record, over } = terminal;
    const ended = new AbortController();
    void over.then(() => ended.abort());
    const both = AbortSignal.any([signal, ended.signal]);
    while (!both.aborted) {
      const { idleMs, maxMs } = rules();
      const now = clock.now();
      const untilIdle = session.usedAt + idleMs - now;
      const untilLimit = record.started_at + maxMs - now;
      const alone = record.owned === true ? session.aloneSince : undefined;
      const untilAlone = alone === undefined ? Infinity : alone + ALONE_MS - now;
      if (untilAlone <= 0) {
        await this.#stop(terminal, "killed", "whoever opened it is gone");
      } else if (untilLimit <= 0) {
        await this.#stop(terminal, "time_limit", "it has reached terminals.max_duration");
      } else if (untilIdle <= 0) {
        await this.#stop(terminal, "idle", "nobody used it for terminals.idle_timeout");
      }
      const next = Math.min(untilIdle, untilLimit, untilAlone);
      try {
        // One that could not be ended is asked to again.
        await clock.sleep(next > 0 ? Math.min(next, CHECK_MS) : CHECK_MS, { signal: both });
      } catch (error) {
        if (!both.aborted) throw error;
      }
    }
  }

  async #stop(terminal: OpenTerminal, reason: OpenTerminal["reason"], text: string) {
    terminal.reason ??= reason;
    terminal.session.notice("ends", `this terminal ends: ${text}`);
    try {
      await terminal.program.stop();
    } catch (error) {
      this.#options.log.error("Cannot end a terminal", {
        session: terminal.record.id,
        error: messageOf(error),
      });
    }
  }
}

/** Time for the terminals of a job to end. */
const END_MS = 10_000;
/** Time for the owner of a terminal to come back. */
const ALONE_MS = 30_000;
/** Longest time between two looks at the limits, which a new configuration may change. */
const CHECK_MS = 60_000;

async function removeTree(path: string): Promise<void> {
  try {
    await Deno.remove(path, { recursive: true });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
