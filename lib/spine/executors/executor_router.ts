/**
 * Routes each attempt to the executor that its spec requires.
 *
 * @module
 */
import { raceAbort } from "@lib/core/abort.ts";
import type {
  AttemptFound,
  AttemptHandle,
  AttemptRequest,
  Executor,
  HeldPlace,
  ProjectUse,
  StopRequest,
} from "@lib/spine/jobs/executor.ts";
import type { AttemptOutcome } from "@lib/spine/jobs/model.ts";
import type { JobSpec } from "@lib/spine/spec/job_spec.ts";

/** Options for {@linkcode ExecutorRouter}. */
export interface ExecutorRouterOptions {
  /** Runs jobs without a container. */
  readonly processes: Executor;
  /** Makes the executor of jobs with a container; called for the first of them. */
  readonly makeContainers: () => Promise<Executor>;
}

/**
 * Routes the jobs of a project to the executor of processes or that of containers; owns both.
 *
 * Its health and its usage are those of the executor of processes: the container engine is not part
 * of the agent, and a restart of the agent would not restart it.
 */
export class ExecutorRouter implements Executor {
  readonly kind: Executor["kind"];
  readonly #processes: Executor;
  readonly #makeContainers: () => Promise<Executor>;
  #containers: Promise<Executor> | undefined;
  /** The executor of containers, once it is made. */
  #made: Executor | undefined;

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

  async hold(attempt: AttemptHandle, until: number, signal: AbortSignal): Promise<void> {
    await (await this.#for(attempt.spec)).hold?.(attempt, until, signal);
  }

  notHeld(attempt: AttemptHandle): void {
    const executor = attempt.spec.container === undefined ? this.#processes : this.#made;
    executor?.notHeld?.(attempt);
  }

  async holdGone(place: HeldPlace, signal: AbortSignal): Promise<void> {
    const executor = place.inContainer ? await this.#containersNow() : this.#processes;
    // A place that nobody watches is there until it is ended.
    const gone = executor.holdGone?.(place, signal) ?? Promise.withResolvers<void>().promise;
    await raceAbort(gone, signal);
  }

  async endHold(place: HeldPlace, signal: AbortSignal): Promise<void> {
    // Both, as a record that cannot be read does not tell.
    await this.#processes.endHold?.(place, signal);
    if (place.inContainer) await (await this.#containersNow()).endHold?.(place, signal);
  }

  async describeProject(signal: AbortSignal): Promise<ProjectUse> {
    return await this.#processes.describeProject(signal);
  }

  awayReason(attempt: AttemptHandle): string | undefined {
    const executor = attempt.spec.container === undefined ? this.#processes : this.#made;
    return executor?.awayReason?.(attempt);
  }

  async removeForeign(path: string, signal: AbortSignal): Promise<void> {
    await (await this.#containersNow()).removeForeign?.(path, signal);
  }

  get tidying(): boolean {
    return this.#processes.tidying === true || this.#made?.tidying === true;
  }

  unhealthyReason(): string | undefined {
    return this.#processes.unhealthyReason();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await using parts = new AsyncDisposableStack();
    parts.use(this.#processes);
    if (this.#containers !== undefined) parts.use(await this.#containers);
  }

  #for({ container }: JobSpec): Promise<Executor> {
    return container === undefined ? Promise.resolve(this.#processes) : this.#containersNow();
  }

  async #containersNow(): Promise<Executor> {
    const made = this.#containers ??= this.#makeContainers();
    try {
      return this.#made = await made;
    } catch (error) {
      // The next job tries again.
      if (this.#containers === made) this.#containers = undefined;
      throw error;
    }
  }
}
