/**
 * Sends each attempt to the executor that its spec asks for.
 *
 * @module
 */
import type {
  AttemptFound,
  AttemptHandle,
  AttemptRequest,
  Executor,
  ProjectUse,
  StopRequest,
} from "@lib/spine/jobs/executor.ts";
import type { AttemptOutcome } from "@lib/spine/jobs/model.ts";
import type { JobSpec } from "@lib/spine/spec/job_spec.ts";

/** The executors there are. */
export interface ExecutorRouterOptions {
  /** For jobs without a container. */
  readonly processes: Executor;
  /** Makes the one for jobs with a container; called for the first of them. */
  readonly makeContainers: () => Promise<Executor>;
}

/**
 * The executor of every job of a project: hands each one to the executor of processes or to that of
 * containers, and owns both.
 *
 * What it says of itself is what the executor of processes says: the container engine is no part
 * of the agent, and a restart of the agent would not bring it back.
 */
export class ExecutorRouter implements Executor {
  readonly kind: Executor["kind"];
  readonly #processes: Executor;
  readonly #makeContainers: () => Promise<Executor>;
  #containers: Promise<Executor> | undefined;

  constructor({ processes, makeContainers }: ExecutorRouterOptions) {
    this.kind = processes.kind;
    this.#processes = processes;
    this.#makeContainers = makeContainers;
  }

  async start(request: AttemptRequest, signal: AbortSignal): Promise<"started" | "exists"> {
    return await (await this.#for(request.spec)).start(request, signal);
  }

  async look(attempt: AttemptHandle, signal: AbortSignal): Promise<AttemptFound> {
    return await (await this.#for(attempt.spec)).look(attempt, signal);
  }

  async ended(attempt: AttemptHandle, signal: AbortSignal): Promise<AttemptOutcome> {
    return await (await this.#for(attempt.spec)).ended(attempt, signal);
  }

  async stop(attempt: AttemptHandle, why: StopRequest, signal: AbortSignal): Promise<void> {
    await (await this.#for(attempt.spec)).stop(attempt, why, signal);
  }

  async describeProject(signal: AbortSignal): Promise<ProjectUse> {
    return await this.#processes.describeProject(signal);
  }

  unhealthyReason(): string | undefined {
    return this.#processes.unhealthyReason();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await using parts = new AsyncDisposableStack();
    parts.use(this.#processes);
    if (this.#containers !== undefined) parts.use(await this.#containers);
  }

  async #for({ container }: JobSpec): Promise<Executor> {
    if (container === undefined) return this.#processes;
    const made = this.#containers ??= this.#makeContainers();
    try {
      return await made;
    } catch (error) {
      // The next job tries again.
      if (this.#containers === made) this.#containers = undefined;
      throw error;
    }
  }
}
