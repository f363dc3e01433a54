/**
 * Commands of the console: each is a job, with its limits, its log and its place in the history.
 *
 * A command does not depend on the connection that it came over: its result is sent over the next
 * one too. The console waits for the time limit of a command and 5 s more, so an answer comes before
 * that whatever becomes of the job.
 *
 * @module
 */
import { raceAbort, withDeadline } from "@lib/core/abort.ts";
import type { KeyCaller } from "@lib/core/caller.ts";
import type { Clock } from "@lib/core/clock.ts";
import { failureLines, ignore, messageOf, toCicdError } from "@lib/core/errors.ts";
import type { ProjectName } from "@lib/core/ids.ts";
import type { Logger } from "@lib/core/logger.ts";
import type { TaskGroup } from "@lib/core/task_group.ts";
import type { RunnerServices } from "@lib/api/feature.ts";
import { isTerminal, type Job } from "@lib/spine/jobs/model.ts";
import type { AllowRules } from "@lib/features/console/allow_keys.ts";
import { checkAllowed } from "@lib/features/console/allowance.ts";
import { type CommandOutput, readOutput } from "@lib/features/console/command_output.ts";
import {
  type Dispatch,
  jobWorkOf,
  neededFor,
  readDispatch,
  resultPayload,
} from "@lib/features/console/command_wire.ts";
import type { ConsoleChannel, ConsoleHandler } from "@lib/features/console/handler.ts";
import type { Refusals } from "@lib/features/console/refusals.ts";
import { within } from "@lib/core/within.ts";

/** The means of {@linkcode ConsoleCommands}. */
export interface CommandPorts {
  readonly rules: () => AllowRules;
  readonly jobs: Pick<
    RunnerServices,
    "store" | "events" | "logs" | "submitSoon" | "startExpected" | "waitingReason"
  >;
  readonly refusals: Refusals;
  readonly tasks: Pick<TaskGroup, "spawn">;
  readonly clock: Clock;
  readonly log: Logger;
}

/** A command under way. */
interface Run {
  readonly cut: AbortController;
  readonly over: Promise<void>;
}

/** The ends of the wait for a command: that of its link, and of the process. */
interface Signals {
  readonly cut: AbortSignal;
  readonly own: AbortSignal;
}

/** How the wait for a command ended. */
interface Waited {
  readonly job: Job;
  /** Why no exit code is to be expected; absent: the job says it. */
  readonly note?: string;
}

/** Commands at once; further ones are refused. */
const MAX_RUNNING = 16;
/** Between SIGTERM and SIGKILL. */
const GRACE_S = 2;
/** Time for a command to be stopped; with its time limit less than what the console waits. */
const STOP_MS = 3_500;
/** Between the arrival of a command and the start of its job, if it need not wait. */
const LIMIT_SLACK_MS = 1_000;
/** Time to read its output. */
const READ_MS = 1_000;
/** No program has exited. */
const NO_EXIT = -1;
/** As a shell says that a program may not be run. */
const REFUSED = 126;

/** Runs the commands of the console. */
export class ConsoleCommands implements ConsoleHandler {
  readonly types = ["command:dispatch"];
  /** Results go over the next one as well. */
  readonly needsConnection = false;
  readonly #ports: CommandPorts;
  readonly #running = new Map<string, Run>();
  /** The last one that a message came over. */
  #channel: ConsoleChannel | undefined;

  constructor(ports: CommandPorts) {
    this.#ports = ports;
  }

  handle(
    { type, payload }: { readonly type: string; readonly payload: unknown },
    channel: ConsoleChannel,
  ): Promise<void> {
    this.#channel = channel;
    const { rules, refusals, log } = this.#ports;
    const read = readDispatch(payload);
    if (read.kind === "unusable") {
      refusals.add(type, read.reason);
      if (read.id !== undefined && !this.#running.has(read.id)) {
        this.#answer(read.id, { code: NO_EXIT, why: read.reason });
      }
      return Promise.resolve();
    }
    const { command } = read;
    if (this.#running.has(command.id)) {
      log.debug("The console sent a command twice", { commandId: command.id });
      return Promise.resolve();
    }
    const verdict = checkAllowed(neededFor(command), command, rules());
    if (verdict.kind === "refused") {
      refusals.add(type, verdict.reason);
      this.#answer(command.id, { code: REFUSED, why: verdict.reason });
    } else if (this.#running.size >= MAX_RUNNING) {
      const why = `Cannot run the command: ${MAX_RUNNING} of the console are running`;
      refusals.add(type, why);
      this.#answer(command.id, { code: NO_EXIT, why });
    } else {
      this.#start(command, verdict.project);
    }
    return Promise.resolve();
  }

  async close(reason: string, signal: AbortSignal, isFinal: boolean): Promise<void> {
    if (!isFinal) return;
    const running = [...this.#running.values()];
    for (const { cut } of running) cut.abort(new DOMException(reason, "AbortError"));
    await raceAbort(Promise.all(running.map(({ over }) => over)), signal);
  }

  #start(command: Dispatch, project: ProjectName): void {
    const cut = new AbortController();
    const over = Promise.withResolvers<void>();
    this.#running.set(command.id, { cut, over: over.promise });
    this.#ports.tasks.spawn("command of the console", async (own) => {
      try {
        await this.#run(command, project, { cut: cut.signal, own });
      } finally {
        this.#running.delete(command.id);
        over.resolve();
      }
    });
  }

  /** Runs a command, and answers it in every case. */
  async #run(command: Dispatch, project: ProjectName, signals: Signals): Promise<void> {
    const { jobs, clock, log } = this.#ports;
    const receivedAt = clock.now();
    const took = () => clock.now() - receivedAt;
    try {
      jobs.startExpected();
      const { job } = await jobs.submitSoon(requestOf(command, project), {
        caller: callerFor(project),
        // The same one never runs twice, whatever lies between.
        idempotencyKey: `console-${command.id}`,
      });
      const { id, user } = command;
      log.info("Command of the console", {
        jobId: job.id,
        project,
        commandId: id,
        ...(user === undefined ? {} : { user }),
      });
      const waited = await this.#wait(job, command.timeoutMs, signals);
      const output = await this.#outputOf(waited.job);
      const { code, notes } = endOf(waited, output);
      const stderr = output.stderr + notes.map((note) => `cicd-runner: ${note}\n`).join("");
      const result = { stdout: output.stdout, stderr, exitCode: code, durationMs: took() };
      this.#channel?.send("command:result", resultPayload(id, result));
    } catch (error) {
      const failure = toCicdError(error);
      if (failure.code === "internal") log.error("Cannot run a command of the console", { error });
      this.#answer(command.id, {
        code: NO_EXIT,
        why: failureLines(failure).join("\n"),
        durationMs: took(),
      });
    }
  }

  /** Waits for the end of a job; stops it at the time limit, or when the link ends for good. */
  async #wait(job: Job, timeoutMs: number, { cut, own }: Signals): Promise<Waited> {
    const { jobs, clock } = this.#ports;
    const isOver = ({ state }: Job) => isTerminal(state);
    const read = () => jobs.store.require(job.id);
    const stop = new AbortController();
    try {
      const ended = jobs.events.waitFor(job.id, { read, isWanted: isOver, signal: stop.signal });
      void ended.catch(ignore("it is not waited for any longer"));
      const either = AbortSignal.any([cut, own]);
      // A job that has begun ends by its own limit, which its history then says.
      const isInTime = await within(clock, ended, timeoutMs, either).catch((error: unknown) => {
        if (!either.aborted) throw error;
        return false;
      });
      if (isInTime) return { job: await ended };
      const late = read();
      const note = either.aborted
        ? `The command was stopped: ${messageOf(either.reason)}`
        : isAtItsLimit(late, timeoutMs, clock.now())
        ? undefined
        : late.state === "running"
        ? `The command was stopped: its ${timeoutMs / 1_000} s include its wait for a turn`
        : `The command did not start within ${timeoutMs / 1_000} s: ${
          jobs.waitingReason(late) ?? "it waits for its turn"
        }`;
      if (note !== undefined) this.#cancel(late);
      if (await within(clock, ended, STOP_MS, own)) {
        return { job: await ended, ...(note === undefined ? {} : { note }) };
      }
      this.#cancel(read());
      return { job: read(), note: note ?? "The command does not end; it is being stopped" };
    } finally {
      stop.abort(new DOMException("The command is answered", "AbortError"));
    }
  }

  #cancel(job: Job): void {
    const { jobs, clock } = this.#ports;
    if (isTerminal(job.state)) return;
    const cancel = { reason: "cancelled", by: "by the console link" } as const;
    jobs.store.apply(job.id, { kind: "cancel_requested", cancel, at: clock.now() });
  }

  async #outputOf(job: Job): Promise<CommandOutput> {
    using deadline = withDeadline(new AbortController().signal, READ_MS, "the output of a command");
    return await readOutput(job, this.#ports.jobs.logs, deadline);
  }

  #answer(
    id: string,
    { code, why, durationMs = 0 }: {
      readonly code: number;
      readonly why: string;
      readonly durationMs?: number;
    },
  ): void {
    const result = { stdout: "", stderr: `cicd-runner: ${why}\n`, exitCode: code, durationMs };
    this.#channel?.send("command:result", resultPayload(id, result));
  }
}

/** A job that began at once ends by its own limit, which counts from its start. */
function isAtItsLimit({ state, startedAt = Infinity }: Job, timeoutMs: number, now: number) {
  return state === "running" && startedAt + timeoutMs - now < LIMIT_SLACK_MS;
}

/** Returns the exit code of a command, and what is to be said about it. */
function endOf({ job, note }: Waited, { omittedBytes }: CommandOutput) {
  const notes: string[] = [];
  if (omittedBytes > 0) notes.push(`${omittedBytes} more bytes are in the log of job ${job.id}`);
  const hasExited = isTerminal(job.state) && job.reason === "exit_code" && note === undefined;
  if (hasExited) return { code: job.exitCode ?? (job.state === "succeeded" ? 0 : NO_EXIT), notes };
  notes.push(note ?? job.message ?? `The command is ${job.state}`);
  return { code: NO_EXIT, notes };
}

/** Returns a job that is over when it is over: no retries, no hold, both streams apart. */
function requestOf({ id, user, work, env, timeoutMs }: Dispatch, project: ProjectName) {
  return {
    project,
    ...jobWorkOf(work),
    env,
    timeout: timeoutMs / 1_000,
    grace: GRACE_S,
    hold_on_failure: 0,
    output: "split",
    labels: { "console.command": id, ...(user === undefined ? {} : { "console.user": user }) },
  };
}

/** The console may submit jobs of one project, and no more. */
function callerFor(project: ProjectName): KeyCaller {
  return { kind: "key", id: "console", name: "console", scopes: ["submit"], projects: [project] };
}
