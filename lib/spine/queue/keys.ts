/**
 * Configuration keys of the queue and of its disk.
 *
 * @module
 */
import { duration, integer, size } from "@lib/core/value_types.ts";
import { section } from "@lib/foundations/config/config.ts";
import { byDefault, key, type Machine } from "@lib/foundations/config/key.ts";
import { DAY, TIB } from "@lib/foundations/config/ranges.ts";

/** Bounds of the queue. */
export const QUEUE = section({
  keys: {
    maxQueued: key(
      "queue.max_queued",
      integer({ min: 1, max: 10_000_000 }),
      "Jobs that may be queued, over all projects; further jobs are refused with 429.",
      20_000,
    ),
    maxRunning: key(
      "queue.max_running",
      integer({ min: 1, max: 4_096 }),
      "Jobs that may run at the same time, over all projects.",
      ({ cores }: Machine) => byDefault(Math.max(4, 2 * cores)),
      {
        text: "twice the number of cores, at least 4",
        project: { name: "max_running", doc: "Jobs of the project that may run at the same time." },
      },
    ),
    maxAgents: key(
      "queue.max_agents",
      integer({ min: 1, max: 4_096 }),
      "Agents that may live at the same time, one for each project with a job. Idle agents of other " +
        "projects are ended first; then jobs of further projects wait.",
      16,
    ),
    // Longer than the 90 s for which systemd 252 stands still when its bus was killed.
    startTimeoutMs: key(
      "queue.start_timeout",
      duration({ min: 1_000, max: DAY }),
      "Time within which a project's agent must answer for a job that starts. After it, the " +
        "attempt ends as `failed` with reason `start_failed`, and never starts.",
      "2m",
    ),
    stopTimeoutMs: key(
      "queue.stop_timeout",
      duration({ min: 1_000, max: DAY }),
      "Time within which a project's agent must take a request to stop a job. After it, the runner " +
        "stops the job itself, and the steps after the job are left out.",
      "20s",
    ),
    ageingMs: key(
      "queue.ageing",
      duration({ min: 0, max: DAY }),
      "Waiting time that raises a queued job by one step of priority, so that none waits forever. " +
        "0: never.",
      "1m",
    ),
  },
});

/** Free space of the disk that holds the jobs. */
export const DISK = section({
  keys: {
    minFreeDiskBytes: key(
      "retention.min_free_disk",
      size({ min: 0, max: 1_024 * TIB }),
      "With less free disk space, new jobs are refused with 507 and cleaning frees space.",
      "512M",
    ),
  },
});
