/**
 * Configuration keys of one project.
 *
 * @module
 */
import { key } from "@lib/foundations/config/key.ts";
import {
  cpus,
  imagePatterns,
  jobGrace,
  jobTimeout,
  logBytes,
  memory,
  networkName,
  running,
  tasks,
} from "@lib/foundations/config/key_ranges.ts";
import {
  choices,
  decimal,
  duration,
  envMap,
  integer,
  path,
  size,
  textList,
} from "@lib/core/value_types.ts";

/** What makes a container less than closed. */
export const CONTAINER_FREEDOMS = [
  "privileged",
  "capabilities",
  "host_network",
  "mounts",
  "engine_socket",
  "user",
] as const;

/** The keys below `projects.<name>`; what is absent is taken from `defaults`. */
export const PROJECT_KEYS = {
  maxRunning: key(
    "max_running",
    integer(running),
    "Jobs of the project that may run at once.",
    undefined,
    "`queue.max_running`",
  ),
  cpu: key(
    "limits.cpu",
    decimal(cpus),
    "CPUs for each of its jobs that names no limit.",
    undefined,
    "`defaults.limits.cpu`",
  ),
  memory: key(
    "limits.memory",
    size(memory),
    "Memory for each of its jobs that names no limit.",
    undefined,
    "`defaults.limits.memory`",
  ),
  tasks: key(
    "limits.tasks",
    integer(tasks),
    "Processes and threads for each of its jobs that names no limit.",
    undefined,
    "`defaults.limits.tasks`",
  ),
  env: key(
    "env",
    envMap(),
    "Variables of its jobs, over those of `defaults.env`.",
    undefined,
    "`defaults.env`",
  ),
  timeout: key(
    "timeout",
    duration(jobTimeout),
    "Time limit of its jobs that name none.",
    undefined,
    "`defaults.timeout`",
  ),
  grace: key(
    "grace",
    duration(jobGrace),
    "Time between the polite signal and SIGKILL.",
    undefined,
    "`defaults.grace`",
  ),
  logMax: key(
    "log_max",
    size(logBytes),
    "Bytes of a job's output that are kept.",
    undefined,
    "`defaults.log_max`",
  ),
  allow: key(
    "containers.allow",
    choices(CONTAINER_FREEDOMS),
    "What its containers may ask for that opens them: " + CONTAINER_FREEDOMS.join(", ") + ".",
    [],
  ),
  mounts: key(
    "containers.mounts",
    textList("a list of absolute paths", /^\/[^\s]*$/),
    "Paths of this machine that its containers may mount, each with what is below; needs `mounts` " +
      "in `containers.allow`.",
    [],
  ),
  images: key(
    "containers.images",
    imagePatterns(),
    "The images that its jobs may use.",
    undefined,
    "`containers.images`",
  ),
  network: key(
    "containers.network",
    networkName(),
    "Network of its containers whose job names none.",
    undefined,
    "`containers.network`",
  ),
  networks: key(
    "containers.networks",
    textList("a list of networks", /^[A-Za-z0-9][A-Za-z0-9_.-]*$/),
    "The networks its containers may join, besides `none` and `bridge`.",
    [],
  ),
  workdir: key(
    "workdir",
    path("any"),
    "Folder in which its jobs start; a relative one lies in the job's own workspace.",
    undefined,
    "the job's own workspace",
  ),
} as const;
