/**
 * The runner's side of the link: passes attempts to the project's agent and follows each to its
 * end, across restarts of either side.
 *
 * @module
 */
import { Backoff } from "@lib/core/backoff.ts";
import type { Clock } from "@lib/core/clock.ts";
import type { ErrorCode } from "@lib/core/error_codes.ts";
import { CicdError, isNobodyListening, messageOf, toCicdError } from "@lib/core/errors.ts";
import type { ProjectName } from "@lib/core/ids.ts";
import type { Logger } from "@lib/core/logger.ts";
import { readLines } from "@lib/core/lines.ts";
import { raceAbort, withDeadline } from "@lib/core/abort.ts";
import {
  type AgentStatus,
  type AttemptLine,
  parseAgentStatus,
  parseAttemptLine,
  SIGN_OF_LIFE_MS,
} from "@lib/spine/agent_link/protocol.ts";
import { type AgentProblem, KnownAgents } from "@lib/spine/agent_link/known_agents.ts";
import { UnixClient, type UnixResponse } from "@lib/foundations/http/unix_client.ts";
import { parseProblem } from "@lib/foundations/http/problem.ts";
import type { AttemptInput } from "@lib/spine/attempts/attempt_input.ts";
import { fenceAttempt, wasBegun } from "@lib/spine/executors/evidence.ts";
import {
  type AttemptRunner,
  neverBegun,
  type RunAttemptOptions,
} from "@lib/spine/queue/attempt_runner.ts";
import type { AttemptHandle, Executor } from "@lib/spine/jobs/executor.ts";
import { attemptDirectory } from "@lib/spine/jobs/attempt_directory.ts";
import type { AttemptOutcome, Job } from "@lib/spine/jobs/model.ts";

/** Makes a project's agent reachable. */
export interface AgentHost extends AsyncDisposable {
  readonly kind: "systemd" | "child";
  /** Returns the path of the agent's socket. */
  socketPath(project: ProjectName): string;
  /**
   * Starts the agent on its socket; called when nobody listens there.
   *
   * @throws {CicdError} `agent_unavailable` or `systemd_unavailable`.
   */
  ensureListening(project: ProjectName, signal: AbortSignal): Promise<void>;
  /** Returns why an agent does not run, as far as its supervisor knows. */
  faultOf?(project: ProjectName, signal: AbortSignal): Promise<string | undefined>;
}

/** Options for {@linkcode AgentClient}. */
export interface AgentClientOptions {
  readonly host: AgentHost;
  /** Returns the values of a job's secrets; `null` if they cannot be unsealed. */
  readonly secretsOf: (job: Job) => Readonly<Record<string, string>> | null;
  /** Returns what masks a job's secrets in the texts that the runner keeps and shows. */
  readonly maskOf: (job: Job) => Promise<(text: string) => string>;
  readonly stateDir: string;
  /** Makes the executor of a project's jobs, to stop one without the agent. */
  readonly executorOf: (project: ProjectName) => Promise<Executor>;
  /** Returns the id of the machine's boot in which a job's latest attempt was claimed. */
  readonly bootIdOf: (job: Job) => string;
  /** Returns the stamp of the configuration in force. */
  readonly configStamp: () => string;
  /** A project whose agent was started before. */
  readonly woken?: ProjectName;
  /** Returns how many agents may live; idle ones beyond it are asked to exit. */
  readonly maxAgents: () => number;
  /** Returns the idleness after which an agent exits by itself; 0 for never. */
  readonly agentIdleExitMs: () => number;
  /** Runs what must be written even on a full disk. */
  readonly urgently?: <T>(body: () => T) => T;
  readonly clock: Clock;
  readonly log: Logger;
}

/** The link to all agents. */
export class AgentClient implements AttemptRunner, Disposable {
  readonly #options: AgentClientOptions;
  readonly #agents: KnownAgents;
  readonly #clients = new Map<ProjectName, UnixClient>();

  constructor(options: AgentClientOptions) {
    this.#options = options;
    const { host, woken } = options;
    this.#agents = new KnownAgents({
      ...options,
      faultOf: (project, signal) => host.faultOf?.(project, signal) ?? Promise.resolve(undefined),
    });
    if (woken !== undefined) this.#agents.answered(woken);
  }

  async run(job: Job, options: RunAttemptOptions): Promise<AttemptOutcome> {
    using _use = this.#agents.use(job.spec.project);
    await this.#endIdleAgents(options);
    const outcome = await this.#run(job, options);
    const mask = await this.#options.maskOf(job);
    return { ...outcome, message: mask(outcome.message) };
  }

  #run(job: Job, options: RunAttemptOptions): Promise<AttemptOutcome> {
    const { onStarted, onCommit, onWaiting, onDoing, onRefused, signal } = options;
    let started = job.state === "running";
    const ask = async (): Promise<AttemptOutcome> => {
      const order: AttemptInput = {
        spec: job.spec,
        secrets: this.#options.secretsOf(job),
        bootId: this.#options.bootIdOf(job),
        accepted: started,
        configStamp: this.#options.configStamp(),
      };
      const request = {
        method: "PUT",
        path: attemptPath(job),
        body: JSON.stringify(order),
        signal,
      };
      using response = await this.#send(job.spec.project, request, onWaiting);
      if (response.status >= 300) {
        const error = await failure(response, signal);
        if (ORDER_REFUSED.includes(error.code)) {
          return this.#startFailed(`The agent refused the job: ${error.message}`);
        }
        const end = started || wasBegun(this.#handleOf(job)) ? undefined : onRefused();
        if (end === undefined) throw error;
        return end;
      }
      for await (const line of linesOf(response, signal)) {
        if (line.kind === "ended") return line.outcome;
        onWaiting(undefined);
        onDoing(line.doing);
        if (!started) onStarted();
        started = true;
        if (line.commit !== undefined) onCommit(line.commit);
      }
      throw new CicdError(
        "agent_unavailable",
        "The agent closed its answer before the end of the attempt",
      );
    };
    return this.#persist(job, { verb: "run", onWaiting, signal }, async () => {
      try {
        return await ask();
      } catch (error) {
        // It would be missing at every try.
        const isMissing = error instanceof CicdError && error.code === "agent_missing";
        if (!isMissing || started || !this.fence(job)) throw error;
        return this.#startFailed(error.message);
      }
    });
  }

  async stop(job: Job, signal: AbortSignal): Promise<void> {
    const body = JSON.stringify(job.cancel);
    const path = `${attemptPath(job)}/stop`;
    await this.#persist(job, { verb: "stop", signal }, async () => {
      using response = await this.#send(job.spec.project, { method: "POST", path, body, signal });
      if (response.status >= 300) throw await failure(response, signal);
    });
  }

  fence(job: Job): boolean {
    const { urgently = (body) => body() } = this.#options;
    return urgently(() => fenceAttempt(this.#handleOf(job)));
  }

  async kill(job: Job, signal: AbortSignal): Promise<AttemptOutcome> {
    if (job.cancel === undefined) throw new TypeError("Only a cancelled job is killed");
    const handle = this.#handleOf(job);
    await using executor = await this.#options.executorOf(job.spec.project);
    const found = await executor.look(handle, signal);
    if (found.kind === "ended" || found.kind === "vanished") return found.outcome;
    if (found.kind === "never_begun") {
      if (!this.fence(job)) throw new CicdError("state_conflict", "The job is starting");
      const { reason, by } = job.cancel;
      const message = `Cancelled ${by} before the start`;
      return neverBegun({ state: "cancelled", reason, message }, this.#options.clock.now());
    }
    await executor.stop(handle, job.cancel, signal);
    return await executor.ended(handle, signal);
  }

  /** Returns the agents that did not answer, or could not do their work, when last asked. */
  problems(): readonly AgentProblem[] {
    return this.#agents.problems();
  }

  /** Returns an agent's status; `undefined` if it does not run or answer. Starts nothing. */
  async status(project: ProjectName, signal: AbortSignal): Promise<AgentStatus | undefined> {
    using deadline = withDeadline(signal, ASK_MS, `the agent of ${project}`);
    try {
      using response = await this.#client(project).send({
        method: "GET",
        path: "/status",
        signal: deadline,
      });
      const status = parseAgentStatus(JSON.parse(await response.text()));
      // A question starts an agent behind a socket of the service manager.
      this.#agents.answered(project);
      return status;
    } catch (error) {
      signal.throwIfAborted();
      if (!isNobodyListening(error)) await this.#agents.failed(project, messageOf(error), signal);
      return undefined;
    }
  }

  /**
   * Makes the running agents of projects read their configuration again. Starts none: an agent also
   * reads it before it starts, and before a job of another {@linkcode AttemptInput.configStamp}.
   */
  async reload(projects: Iterable<ProjectName>, signal: AbortSignal): Promise<void> {
    await Promise.all(Array.from(projects, async (project) => {
      try {
        await this.#tell(project, "/reload", 5_000, signal);
      } catch (error) {
        this.#options.log.warning("Cannot reload an agent's configuration", { project, error });
      }
    }));
  }

  [Symbol.dispose](): void {
    for (const client of this.#clients.values()) client[Symbol.dispose]();
    this.#clients.clear();
  }

  /** Asks idle agents beyond the limit to exit; an agent with work for us is never among them. */
  async #endIdleAgents({ onWaiting, signal }: RunAttemptOptions): Promise<void> {
    const { maxAgents, agentIdleExitMs, log } = this.#options;
    const idle = this.#agents.takeIdle(maxAgents(), agentIdleExitMs());
    if (idle.length === 0) return;
    onWaiting(`idle ones must exit first (queue.max_agents): ${idle.slice(0, 8).join(", ")}`);
    await Promise.all(idle.map(async (project) => {
      try {
        await this.#tell(project, "/exit", ASK_MS, signal);
      } catch (error) {
        signal.throwIfAborted();
        log.info("An idle agent stays", { project, error });
        await this.#agents.failed(project, messageOf(error), signal);
      }
    }));
    onWaiting(undefined);
  }

  /** Posts to an agent; one that does not run needs nothing. */
  async #tell(
    project: ProjectName,
    path: string,
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<void> {
    using deadline = withDeadline(signal, timeoutMs, `the agent of ${project}`);
    try {
      const request = { method: "POST", path, body: "{}", signal: deadline };
      using response = await this.#client(project).send(request);
      if (response.status >= 300) throw await failure(response, deadline);
    } catch (error) {
      if (!isNobodyListening(error)) throw error;
    }
  }

  /** Retries without limit: the attempt may be alive, so only the agent knows its state. */
  async #persist<T>(
    job: Job,
    { verb, onWaiting, signal }: {
      readonly verb: string;
      readonly onWaiting?: (reason: string) => void;
      readonly signal: AbortSignal;
    },
    attempt: () => Promise<T>,
  ): Promise<T> {
    const { clock, log } = this.#options;
    const backoff = new Backoff({ firstMs: 20, maxMs: 10_000 });
    let failures = 0;
    let warned: string | undefined;
    while (true) {
      const begun = clock.now();
      try {
        return await attempt();
      } catch (error) {
        if (signal.aborted) throw signal.reason;
        const problem = toCicdError(error);
        const mask = await this.#options.maskOf(job);
        const why = await this.#agents.failed(job.spec.project, mask(problem.message), signal);
        onWaiting?.(why);
        if (clock.now() - begun > SIGN_OF_LIFE_MS) {
          failures = 0;
          backoff.reset();
        }
        // A restart of the agent takes a few quick tries; anything else deserves attention, once.
        const isTrouble = ++failures > 5 || problem.code === "deadline_exceeded";
        const isNews = isTrouble && why !== warned;
        if (isNews) warned = why;
        log[isNews ? "warning" : "info"](`Cannot ${verb} an attempt yet; trying again`, {
          jobId: job.id,
          project: job.spec.project,
          attempt: job.attempt,
          why,
          error: problem,
        });
        await clock.sleep(backoff.next(), { signal });
      }
    }
  }

  #startFailed(message: string): AttemptOutcome {
    const why = { state: "failed", reason: "start_failed", message } as const;
    return neverBegun(why, this.#options.clock.now());
  }

  #handleOf({ spec, id, attempt }: Job): AttemptHandle {
    const ref = { project: spec.project, jobId: id, number: attempt };
    return { ref, spec, directory: attemptDirectory(this.#options.stateDir, ref) };
  }

  async #send(
    project: ProjectName,
    request: LinkRequest,
    onWaiting?: (reason: string) => void,
  ): Promise<UnixResponse> {
    using deadline = withDeadline(request.signal, ANSWER_MS, `the agent of ${project}`);
    const client = this.#client(project);
    // The deadline breaks a connection without an answer; after it, only the caller's signal does.
    const signal = AbortSignal.any([request.signal, deadline]);
    const over = new AbortController();
    const late = this.#agents.whileLate(project, AbortSignal.any([signal, over.signal]), onWaiting);
    const send = () => client.send({ ...request, signal });
    try {
      const response = await send().catch(async (error) => {
        if (!isNobodyListening(error)) throw error;
        await this.#options.host.ensureListening(project, deadline);
        return await send();
      });
      this.#agents.answered(project);
      return response;
    } finally {
      over.abort(ANSWERED);
      await late;
    }
  }

  #client(project: ProjectName): UnixClient {
    let client = this.#clients.get(project);
    if (client === undefined) {
      client = new UnixClient(this.#options.host.socketPath(project));
      this.#clients.set(project, client);
    }
    return client;
  }
}

/** Failures that would come again at every try, of an attempt that no agent has. */
const ORDER_REFUSED: readonly ErrorCode[] = [
  "invalid_request",
  "invalid_json",
  "body_too_large",
];

/** Time for an agent to answer. */
const ANSWER_MS = 30_000;
/** Time for an agent to answer a question. */
const ASK_MS = 2_000;

const ANSWERED = new DOMException("The agent is not waited for", "AbortError");

interface LinkRequest {
  readonly method: string;
  readonly path: string;
  readonly body: string;
  readonly signal: AbortSignal;
}

function attemptPath(job: Job): string {
  return `/attempts/${job.id}/${job.attempt}`;
}

async function* linesOf(
  { body }: UnixResponse,
  signal: AbortSignal,
): AsyncGenerator<AttemptLine> {
  const lines = readLines(body, { maxBytes: 1024 * 1024 });
  while (true) {
    using deadline = withDeadline(signal, 3 * SIGN_OF_LIFE_MS, "a sign of the agent");
    const next = await raceAbort(lines.next(), deadline);
    if (next.done === true) return;
    yield parseAttemptLine(JSON.parse(next.value));
  }
}

async function failure(response: UnixResponse, signal: AbortSignal): Promise<CicdError> {
  using deadline = withDeadline(signal, ANSWER_MS, "the rest of the agent's answer");
  const text = await raceAbort(response.text(64 * 1024), deadline);
  try {
    const problem = parseProblem(JSON.parse(text));
    if (problem !== undefined) return problem;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  return new CicdError("agent_unavailable", `The agent answered with status ${response.status}`);
}
