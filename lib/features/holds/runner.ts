/**
 * The runner's part of holds: ends them on request, and when their job is retried or removed.
 *
 * The record comes first: a hold is over for the runner when its job says so, and the agent, which
 * has the workspace and the cgroup, is told until it has heard.
 *
 * @module
 */
import { withDeadline } from "@lib/core/abort.ts";
import { Backoff } from "@lib/core/backoff.ts";
import { toRfc3339 } from "@lib/core/clock.ts";
import { CicdError, ignore, isNobodyListening } from "@lib/core/errors.ts";
import { shownCaller } from "@lib/core/caller.ts";
import { within } from "@lib/core/within.ts";
import { parseJobId, type ProjectName } from "@lib/core/ids.ts";
import type { RunnerPart, RunnerServices } from "@lib/api/feature.ts";
import { type AnyRoute, route } from "@lib/api/route.ts";
import { releasedSchema } from "@lib/features/holds/answers.ts";
import { PROGRAM } from "@lib/foundations/config/program_keys.ts";
import { existsSync, filesIn } from "@lib/foundations/files/records.ts";
import { UnixClient } from "@lib/foundations/http/unix_client.ts";
import {
  type AttemptRef,
  holdFile,
  holdsPath,
  projectsIn,
} from "@lib/spine/jobs/attempt_directory.ts";
import { isTerminal, type Job } from "@lib/spine/jobs/model.ts";

/** Time for an agent to start, and to end a hold. */
const AGENT_MS = 30_000;
/** How long a request to end a hold waits for the agent. */
const WAIT_MS = 10_000;
/** Tries to tell an agent; a hold that it does not end passes by itself. */
const TRIES = 10;

/** Makes the part of the runner. */
export function part(services: RunnerServices): RunnerPart {
  const holds = new RunnerHolds(services);
  return {
    routes: [holds.route()],
    start: () => holds.start(),
    hasWork: () => holds.isTelling,
    [Symbol.dispose]: () => holds[Symbol.dispose](),
  };
}

class RunnerHolds implements Disposable {
  readonly #services: RunnerServices;
  readonly #listening: Disposable;
  /** The releases that agents are being told, by attempt. */
  readonly #telling = new Map<string, Promise<void>>();

  constructor(services: RunnerServices) {
    this.#services = services;
    this.#listening = services.events.listen((job, before) => {
      if (before === undefined || !losesHold(job, before)) return;
      this.#tell({ project: job.spec.project, jobId: job.id, number: before.attempt });
    });
  }

  get isTelling(): boolean {
    return this.#telling.size > 0;
  }

  route(): AnyRoute {
    return route({
      method: "POST",
      path: "/v1/jobs/:id/release",
      access: { scope: "submit", by: "job" },
      summary: "End the hold of a failed job",
      description: "Its workspace is removed, and what people run in its place ends. Its result " +
        "stays.",
      answers: {
        200: { description: "Nothing of the hold is left", schema: releasedSchema },
        202: { description: "The hold is being ended", schema: releasedSchema },
      },
      errors: ["state_conflict", "disk_full"],
      handle: async ({ job, caller, signal }, reply) => {
        const { store, clock, log } = this.#services;
        const { id, attempt, heldUntil = 0 } = job;
        const result = store.apply(id, { kind: "released", attempt });
        if (result.kind !== "changed" || heldUntil <= clock.now()) {
          throw new CicdError("state_conflict", `Cannot release job "${id}": it is not held`);
        }
        log.info("Hold released", {
          jobId: id,
          project: job.spec.project,
          by: shownCaller(caller),
        });
        const answer = { id, held_until: toRfc3339(heldUntil) };
        const told = this.#telling.get(keyOf({ jobId: id, number: attempt })) ?? Promise.resolve();
        return reply.json(await within(clock, told, WAIT_MS, signal) ? 200 : 202, answer);
      },
    });
  }

  start(): void {
    this.#services.tasks.spawn("holds", (signal) => this.#compare(signal));
  }

  [Symbol.dispose](): void {
    this.#listening[Symbol.dispose]();
  }

  /**
   * Compares the record with what the agents have, after a start: a hold that did not survive the
   * machine's restart is over, and one that was ended meanwhile is ended again.
   */
  async #compare(signal: AbortSignal): Promise<void> {
    const { store, config, log, clock } = this.#services;
    const { stateDir } = config().of(PROGRAM);
    for (const project of projectsIn(stateDir)) {
      const names = filesIn(holdsPath(stateDir, project));
      if (names.length === 0) continue;
      // It looks after its holds as it starts.
      await this.#askAgent(project, { method: "GET", path: "/status" }, signal)
        .catch(ignore("it looks after them when it starts"));
      for (const name of names) {
        const [id = "", number = ""] = name.split(".");
        const jobId = parseJobId(id);
        if (jobId === undefined || !/^[1-9]\d{0,5}$/.test(number)) continue;
        const ref = { project, jobId, number: Number(number) };
        const job = store.get(jobId);
        const isHeld = job?.attempt === ref.number && (job.heldUntil ?? 0) > clock.now();
        // An attempt under way may be about to report it.
        const isOpen = job?.attempt === ref.number && job.finishedAt === undefined;
        if (!isHeld && !isOpen && existsSync(holdFile(stateDir, ref))) this.#tell(ref);
      }
    }
    for (const job of store.held()) {
      if (existsSync(holdFile(stateDir, refOf(job)))) continue;
      if ((job.heldUntil ?? 0) > clock.now()) {
        log.warning("A hold is lost", { jobId: job.id, project: job.spec.project });
      }
      store.apply(job.id, { kind: "released", attempt: job.attempt });
    }
  }

  #tell(ref: AttemptRef): void {
    const key = keyOf(ref);
    if (this.#telling.has(key)) return;
    const told = Promise.withResolvers<void>();
    this.#telling.set(key, told.promise);
    this.#services.tasks.spawn(`release ${key}`, async (signal) => {
      try {
        await this.#tellOnce(ref, signal);
      } finally {
        this.#telling.delete(key);
        told.resolve();
      }
    });
  }

  async #tellOnce(ref: AttemptRef, signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#services;
    const path = `/attempts/${ref.jobId}/${ref.number}/release`;
    const backoff = new Backoff({ firstMs: 100, maxMs: 60_000 });
    for (let tries = 1;; tries++) {
      try {
        return await this.#askAgent(ref.project, { method: "POST", path }, signal);
      } catch (error) {
        signal.throwIfAborted();
        log.warning("Cannot end a hold", { jobId: ref.jobId, project: ref.project, tries, error });
        if (tries >= TRIES) return;
        await clock.sleep(backoff.next(), { signal });
      }
    }
  }

  async #askAgent(
    project: ProjectName,
    request: { readonly method: string; readonly path: string },
    signal: AbortSignal,
  ): Promise<void> {
    const { agents } = this.#services;
    using deadline = withDeadline(signal, AGENT_MS, `the agent of ${project}`);
    const send = async () => {
      using client = new UnixClient(agents.socketPath(project));
      using response = await client.send({ ...request, signal: deadline });
      const text = await response.text();
      if (response.status < 300) return;
      throw new CicdError("agent_unavailable", `The agent answered ${response.status}: ${text}`);
    };
    try {
      await send();
    } catch (error) {
      if (!isNobodyListening(error)) throw error;
      await agents.ensureListening(project, deadline);
      await send();
    }
  }
}

/** Tells if a change of a job leaves its agent with a hold that nobody wants. */
function losesHold(job: Job, before: Job): boolean {
  if (before.heldUntil !== undefined) return job.heldUntil === undefined;
  // After a retry on request, an agent does not know that its policy allows further attempts.
  const isQueuedAgain = job.state === "queued" && job.retryBase > 0 &&
    before.state !== "queued" && !isTerminal(before.state);
  return isQueuedAgain && job.attempt === before.attempt && (job.spec.holdMs ?? 0) > 0;
}

function refOf({ id, spec, attempt }: Job): AttemptRef {
  return { project: spec.project, jobId: id, number: attempt };
}

function keyOf({ jobId, number }: Pick<AttemptRef, "jobId" | "number">): string {
  return `${jobId}/${number}`;
}
