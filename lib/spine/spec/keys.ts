/**
 * Configuration keys of the defaults of jobs.
 *
 * @module
 */
import { decimal, duration, envMap, integer, nameList, path, size } from "@lib/core/value_types.ts";
import { section } from "@lib/foundations/config/config.ts";
import { group, key, optionalKey } from "@lib/foundations/config/key.ts";
import {
  HOLD_MAX_MS,
  jobCpu,
  jobMemory,
  jobTimeout,
  KIB,
  MINUTE,
  tasks,
  TIB,
} from "@lib/foundations/config/ranges.ts";

/** The defaults of jobs. */
export const JOB_DEFAULTS = section({
  keys: {
    timeoutMs: key(
      "defaults.timeout",
      duration(jobTimeout),
      "Time limit of jobs that set none.",
      "1h",
      { project: { name: "timeout", doc: "Time limit of its jobs that set none." } },
    ),
    graceMs: key(
      "defaults.grace",
      duration({ min: 0, max: 60 * MINUTE }),
      "Time between the polite signal and SIGKILL when a job is stopped.",
      "10s",
      { project: { name: "grace", doc: "Time between the polite signal and SIGKILL." } },
    ),
    holdMs: optionalKey(
      "defaults.hold_on_failure",
      duration({ min: 0, max: HOLD_MAX_MS }),
      "How long the workspace and the limits of a failed job are kept for people.",
      {
        text: "not at all",
        project: {
          name: "hold_on_failure",
          doc: "How long the workspace and the limits of its failed jobs are kept for people.",
        },
      },
    ),
    holdMaxMs: key(
      "defaults.hold_max",
      duration({ min: 0, max: HOLD_MAX_MS }),
      "Longest time for which a failed job is held, whatever it asks for; 0 for never.",
      "24h",
    ),
    shell: key("defaults.shell", path("absolute"), "Program that runs a `script`.", "/bin/sh"),
    logMaxBytes: key(
      "defaults.log_max",
      size({ min: 4 * KIB, max: TIB }),
      "Bytes of a job's output that are kept; further output is dropped and counted.",
      "64M",
      { project: { name: "log_max", doc: "Bytes of a job's output that are kept." } },
    ),
    priority: key(
      "defaults.priority",
      integer({ min: 0, max: 9 }),
      "Priority of jobs that set none; 9 starts first.",
      5,
    ),
    limits: group({
      cpu: optionalKey(
        "defaults.limits.cpu",
        decimal(jobCpu),
        "CPUs per job; 0.5 is half of one core.",
        {
          text: "no limit",
          project: { name: "limits.cpu", doc: "CPUs per job of its jobs that set no limit." },
        },
      ),
      memoryBytes: optionalKey(
        "defaults.limits.memory",
        size(jobMemory),
        "Memory per job; a job above it is killed and ends as `oom_killed`.",
        {
          text: "no limit",
          project: {
            name: "limits.memory",
            doc: "Memory per job of its jobs that set no limit.",
          },
        },
      ),
      tasks: optionalKey(
        "defaults.limits.tasks",
        integer(tasks),
        "Processes and threads per job.",
        {
          text: "no limit",
          project: {
            name: "limits.tasks",
            doc: "Processes and threads per job of its jobs that set no limit.",
          },
        },
      ),
    }),
    env: key(
      "defaults.env",
      envMap(),
      "Variables of every job. In the environment variable: a JSON object.",
      {},
      {
        project: {
          name: "env",
          doc: "Variables of its jobs; they override those of `defaults.env`.",
        },
      },
    ),
    passEnv: key(
      "defaults.pass_env",
      nameList(),
      "Variables that jobs inherit from the agent, besides `PATH`, `LANG`, `LANGUAGE`, `LC_ALL`, " +
        "`LC_CTYPE` and `TZ`; all others are withheld. In the environment variable: separated by " +
        "commas.",
      [],
    ),
    setupTimeoutMs: key(
      "defaults.setup_timeout",
      duration(jobTimeout),
      "Time limit of the setup before a job: checkout, caches, image.",
      "15m",
    ),
  },
  projectKeys: {
    workdir: optionalKey(
      "workdir",
      path("any"),
      "Directory in which its jobs start; a relative one is below the job's own workspace.",
      { text: "the job's own workspace" },
    ),
  },
});
