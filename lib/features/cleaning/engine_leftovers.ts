/**
 * Containers and networks of attempts that are over.
 *
 * @module
 */
import type { AttemptRef } from "@lib/spine/jobs/attempt_folder.ts";
import type { StoredThing } from "@lib/features/cleaning/plan_housekeeping.ts";
import { isTerminal, type Job } from "@lib/spine/jobs/model.ts";
import type { CleaningEngine } from "@lib/features/cleaning/engine_port.ts";
import { type CleanSource, REMOVED } from "@lib/features/cleaning/source.ts";

/** How long an agent is given to clear up by itself. */
const SETTLED_FOR_MS = 600_000;

/** Options for {@linkcode leftoverSource}. */
export interface LeftoverOptions {
  readonly engine: CleaningEngine;
  /** A job on record. */
  readonly read: (id: Job["id"]) => Job | undefined;
  readonly now: () => number;
}

/** Finds containers whose attempt is over, and networks; removes them, running or not. */
export function leftoverSource({ engine, read, now }: LeftoverOptions): CleanSource {
  const isWanted = (attempt: AttemptRef | undefined): boolean => {
    const job = attempt === undefined ? undefined : read(attempt.jobId);
    if (attempt === undefined || job === undefined || attempt.number < job.attempt) return false;
    return !isTerminal(job.state) || now() - (job.finishedAt ?? now()) < SETTLED_FOR_MS;
  };
  const attempts = new Map<string, AttemptRef | undefined>();
  return {
    kinds: ["container", "network"],
    async find(signal) {
      const isOld = ({ createdAt }: { readonly createdAt: number }) =>
        now() - createdAt >= SETTLED_FOR_MS;
      const containers = (await engine.containers(signal))
        .filter((container) => isOld(container) && !isWanted(container.attempt));
      for (const { id, attempt } of containers) attempts.set(id, attempt);
      const networks = (await engine.networks(signal)).filter(isOld);
      const things = [
        ...containers.map(({ id, name, attempt, createdAt }): StoredThing => ({
          kind: "container",
          key: id,
          name,
          ...(attempt === undefined ? {} : { project: attempt.project }),
          bytes: 0,
          lastUsedAt: createdAt,
          inUse: false,
        })),
        ...networks.map(({ id, name, createdAt }): StoredThing => ({
          kind: "network",
          key: id,
          name,
          bytes: 0,
          lastUsedAt: createdAt,
          inUse: false,
        })),
      ];
      return { things, skipped: [] };
    },
    async remove({ kind, key }, signal) {
      if (kind === "network") {
        await engine.removeNetwork(key, signal);
        return REMOVED;
      }
      if (isWanted(attempts.get(key))) {
        return { kind: "kept", why: "its job is under way" };
      }
      await engine.removeContainer(key, signal);
      return REMOVED;
    },
  };
}
