/**
 * Configuration keys of what jobs get that ask for nothing.
 *
 * @module
 */
import { key } from "@lib/foundations/config/key.ts";
import {
  cpus,
  jobGrace,
  jobTimeout,
  logBytes,
  memory,
  tasks,
} from "@lib/foundations/config/key_ranges.ts";
import { decimal, duration, envMap, integer, nameList, path, size } from "@lib/core/value_types.ts";

/** The `defaults`. */
export const JOB_KEYS = {
  defaultsTimeout: key(
    "defaults.timeout",
    duration(jobTimeout),
    "Time limit of a job that names none.",
    "1h",
  ),
  defaultsGrace: key(
    "defaults.grace",
    duration(jobGrace),
    "Time between the polite signal and SIGKILL when a job is stopped.",
    "10s",
  ),
  defaultsShell: key(
    "defaults.shell",
    path("absolute"),
    "Program that runs a `script`.",
    "/bin/sh",
  ),
  defaultsLogMax: key(
    "defaults.log_max",
    size(logBytes),
    "Bytes of a job's output that are kept; what comes after is dropped and counted.",
    "64M",
  ),
  defaultsPriority: key(
    "defaults.priority",
    integer({ min: 0, max: 9 }),
    "Priority of a job that names none; 9 starts first.",
    5,
  ),
  defaultsCpu: key("defaults.limits.cpu", decimal(cpus), "CPUs per job; 0.5 is half of one core."),
  defaultsMemory: key(
    "defaults.limits.memory",
    size(memory),
    "Memory per job; a job above it is killed and ends as `oom_killed`.",
  ),
  defaultsTasks: key("defaults.limits.tasks", integer(tasks), "Processes and threads per job."),
  defaultsEnv: key(
    "defaults.env",
    envMap(),
    "Variables of every job. In the environment variable: a JSON object.",
    {},
  ),
  defaultsPassEnv: key(
    "defaults.pass_env",
    nameList(),
    "Variables that jobs inherit from the agent; all others are withheld. In the environment " +
      "variable: separated by commas.",
    ["PATH", "LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "TZ"],
  ),
  defaultsSetupTimeout: key(
    "defaults.setup_timeout",
    duration(jobTimeout),
    "Time limit of what is done before a job begins: checkout, caches, image.",
    "15m",
  ),
} as const;
