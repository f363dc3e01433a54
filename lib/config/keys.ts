/**
 * The one table of configuration keys.
 *
 * Validation, the names of the environment variables and flags, `config show`
 * and the reference in `docs/configuration.md` are all made from it.
 *
 * @module
 */
import {
  choice,
  choices,
  decimal,
  duration,
  envMap,
  flag,
  integer,
  nameList,
  path,
  secretReference,
  size,
  text,
  textList,
  TIMER_MAX_MS,
  type ValueType,
} from "@lib/config/value_types.ts";

/** One key. */
export interface Key<T> extends ValueType<T> {
  /** Dotted, as in `queue.max_running`; for a project's key, below the project. */
  readonly name: string;
  /** What it is for, in one or two sentences. */
  readonly doc: string;
  /** The default as a file would hold it; `undefined` if there is none, or it depends. */
  readonly fallback: unknown;
  /** The default in words, where it depends on the machine. */
  readonly fallbackText: string | undefined;
}

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const DAY = 24 * 60 * MINUTE;
const KIB = 1_024;
const MIB = 1_024 * KIB;
const GIB = 1_024 * MIB;
const TIB = 1_024 * GIB;

const zeroToTimerMax = { min: 0, max: TIMER_MAX_MS };
const jobTimeout = { min: SECOND, max: TIMER_MAX_MS };
const jobGrace = { min: 0, max: 60 * MINUTE };
const logBytes = { min: 4 * KIB, max: TIB };
const cpus = { min: 0.01, max: 4_096 };
const memory = { min: MIB, max: 1_024 * TIB };
const tasks = { min: 1, max: 4_194_304 };
const WEB_ADDRESS = /^https?:\/\/[^\s/?#@]+(\/[^\s?#]*)?$/;
const webAddress = () => text("an http:// or https:// address without credentials", WEB_ADDRESS);
const imagePatterns = () =>
  textList("a list of image names, in which * stands for any characters", /^[^\s]+$/);
const networkName = () =>
  text("none, bridge or the name of a network", /^[A-Za-z0-9][A-Za-z0-9_.-]*$/);
/** What makes a container less than closed. */
export const CONTAINER_FREEDOMS = [
  "privileged",
  "capabilities",
  "host_network",
  "mounts",
  "engine_socket",
  "user",
] as const;
const running = { min: 1, max: 4_096 };

/** The keys that are not below `projects`. */
export const KEYS = {
  socket: key(
    "socket",
    path("absolute"),
    "Unix socket of the runner's API. It is bound by the runner itself only where no service " +
      "manager passes a socket; clients connect to it in any case.",
    "$XDG_RUNTIME_DIR/cicd-runner.sock",
    "`$XDG_RUNTIME_DIR/cicd-runner.sock`; without `XDG_RUNTIME_DIR`, `cicd-runner.sock` in " +
      "`runtime_dir`",
  ),
  stateDir: key(
    "state_dir",
    path("absolute"),
    "Folder of the database, the jobs' logs and the workspaces; mode 0700.",
    "$XDG_STATE_HOME/cicd-toolkit",
    "`$STATE_DIRECTORY`, else `$XDG_STATE_HOME/cicd-toolkit`, else " +
      "`~/.local/state/cicd-toolkit`",
  ),
  runtimeDir: key(
    "runtime_dir",
    path("absolute"),
    "Folder of the sockets between the two programs, those of the agents in `agents/`; mode 0700.",
    "$XDG_RUNTIME_DIR/cicd-toolkit",
    "`$XDG_RUNTIME_DIR/cicd-toolkit`; without `XDG_RUNTIME_DIR`, `run` in `state_dir`",
  ),
  agents: key(
    "agents",
    choice(["auto", "systemd", "child"]),
    "How the agent of a project is started: by its systemd socket, or as a child of the runner. " +
      "`auto` takes systemd where a user manager answers.",
    "auto",
  ),
  executor: key(
    "executor",
    choice(["auto", "unit", "direct"]),
    "How a job runs: as a transient systemd unit, or as a plain process group without enforced " +
      "limits. `auto` takes units where a user manager answers.",
    "auto",
  ),
  idleExit: key(
    "idle_exit",
    duration(zeroToTimerMax),
    "The runner exits after so long without a request or an open job, if systemd holds its " +
      "socket. 0: never.",
    "5m",
  ),
  agentIdleExit: key(
    "agent_idle_exit",
    duration(zeroToTimerMax),
    "The same for an agent without jobs. 0: never.",
    "2m",
  ),

  logLevel: key(
    "log.level",
    choice(["debug", "info", "warning", "error"]),
    "The least severe messages that are written.",
    "info",
  ),
  logFormat: key(
    "log.format",
    choice(["auto", "journal", "text", "json"]),
    "`journal` sends native fields to journald, `text` and `json` write to stderr. `auto` takes " +
      "the journal under systemd and text elsewhere.",
    "auto",
  ),

  httpMaxBody: key(
    "http.max_body",
    size({ min: KIB, max: GIB }),
    "Largest body of a request; more is answered with 413.",
    "12M",
  ),
  httpMaxHeader: key(
    "http.max_header",
    size({ min: KIB, max: MIB }),
    "Largest header of a request; more is answered with 431.",
    "16K",
  ),
  httpMaxConnections: key(
    "http.max_connections",
    integer({ min: 1, max: 65_536 }),
    "Open connections, followers of logs included; one more is answered with 503.",
    512,
  ),
  httpBodyTimeout: key(
    "http.body_timeout",
    duration({ min: SECOND, max: 60 * MINUTE }),
    "How long a request may take to arrive; later it is answered with 408.",
    "30s",
  ),

  queueMaxQueued: key(
    "queue.max_queued",
    integer({ min: 1, max: 10_000_000 }),
    "Jobs that may wait, over all projects; one more is answered with 429.",
    20_000,
  ),
  queueMaxRunning: key(
    "queue.max_running",
    integer(running),
    "Jobs that may run at once, over all projects.",
    undefined,
    "twice the number of cores, at least 4",
  ),
  queueAgeing: key(
    "queue.ageing",
    duration({ min: 0, max: DAY }),
    "A waiting job gains one step of priority per so much time, so that none waits for ever. " +
      "0: never.",
    "1m",
  ),

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

  containersHost: key(
    "containers.host",
    text(
      "unix:///path or tcp://host:port of a container engine",
      /^(unix:\/\/\/|tcp:\/\/|https?:\/\/)[^\s]+$/,
    ),
    "Where the container engine listens.",
    undefined,
    "`$DOCKER_HOST`, else `$CONTAINER_HOST`, else the first of the sockets of a rootless Docker, a " +
      "rootless Podman, the system's Docker and the system's Podman",
  ),
  containersPull: key(
    "containers.pull",
    choice(["always", "missing", "never"]),
    "When the image of a job that does not say is fetched from its registry.",
    "missing",
  ),
  containersNetwork: key(
    "containers.network",
    networkName(),
    "Network of a container whose job names none.",
    "bridge",
  ),
  containersImages: key(
    "containers.images",
    imagePatterns(),
    "The images that jobs may use; one without a tag or digest in the pattern stands for all of " +
      "them. Empty: every image. In the environment variable: separated by commas.",
    [],
  ),
  containersTasks: key(
    "containers.tasks",
    integer(tasks),
    "Processes and threads of a container whose job names no limit.",
    4_096,
  ),

  gitSchemes: key(
    "git.schemes",
    choices(["https", "http", "ssh", "file"]),
    "How repositories may be reached. `file` opens every repository on this machine that the " +
      "account may read.",
    ["https", "http", "ssh"],
  ),
  gitMirrors: key(
    "git.mirrors",
    flag(),
    "Keep a bare copy of each repository, so that a checkout fetches only what is new.",
    true,
  ),
  gitKnownHosts: key(
    "git.known_hosts",
    path("absolute"),
    "File of the host keys that are trusted for `ssh://`.",
    undefined,
    "the account's `~/.ssh/known_hosts`",
  ),

  artifactsMaxBytes: key(
    "artifacts.max_size",
    size({ min: KIB, max: TIB }),
    "Size of all artifacts of a job; what does not fit is left out and named.",
    "1G",
  ),
  artifactsMaxFiles: key(
    "artifacts.max_files",
    integer({ min: 1, max: 1_000_000 }),
    "Files among the artifacts of a job.",
    10_000,
  ),
  s3Endpoint: key(
    "artifacts.s3.endpoint",
    webAddress(),
    "S3-compatible storage to which artifacts are uploaded besides, such as MinIO.",
    undefined,
    "no upload",
  ),
  s3Bucket: key(
    "artifacts.s3.bucket",
    text("the name of a bucket", /^[a-z0-9][a-z0-9.-]{1,62}$/),
    "Bucket of the artifacts.",
  ),
  s3Prefix: key(
    "artifacts.s3.prefix",
    text("a prefix of object names", /^([^\s/]+\/)*[^\s/]*$/),
    "What the names of the objects begin with; the project, the job and the attempt follow.",
    "",
  ),
  s3Region: key(
    "artifacts.s3.region",
    text("the name of a region", /^[a-z0-9-]+$/),
    "Region that requests are signed for.",
    "us-east-1",
  ),
  s3AccessKey: key(
    "artifacts.s3.access_key",
    secretReference(),
    "Where the access key id is found.",
  ),
  s3SecretKey: key(
    "artifacts.s3.secret_key",
    secretReference(),
    "Where the secret access key is found.",
  ),

  cachesMaxBytes: key(
    "caches.max_size",
    size({ min: MIB, max: 1_024 * TIB }),
    "Disk space of a project's caches; those not used for longest go first.",
    "5G",
  ),
  cachesMaxAge: key(
    "caches.max_age",
    duration({ min: MINUTE, max: 3_650 * DAY }),
    "Caches that were not used for so long are removed.",
    "30d",
  ),

  listenAddress: key(
    "listen.address",
    text(
      "HOST:PORT, such as 127.0.0.1:8080 or [::1]:8080, or a port alone",
      /^(?:(?:\[[0-9A-Fa-f:.]+\]|[^\s:/[\]]+):)?\d{1,5}$/,
    ),
    "TCP address of the API, besides the Unix socket; a port alone listens on loopback. Every " +
      "request there needs a key (`cicd-runner keys create`).",
    undefined,
    "none: there is no TCP listener",
  ),
  listenTlsCertificate: key(
    "listen.tls_certificate",
    path("absolute"),
    "PEM file of the certificate chain; with `listen.tls_key` the TCP listener speaks TLS.",
  ),
  listenTlsKey: key(
    "listen.tls_key",
    path("absolute"),
    "PEM file of the private key; mode 0600.",
  ),
  listenRate: key(
    "listen.requests_per_minute",
    integer({ min: 1, max: 1_000_000 }),
    "Requests that one key may make in a minute; more are answered with 429.",
    600,
  ),

  grytProject: key(
    "gryt.project",
    text("a project's name", /^[a-z0-9][a-z0-9-]{0,55}$/),
    "Project of the jobs that arrive through the Gryt-compatible API.",
    "gryt",
  ),
  grytApiKey: key(
    "gryt.api_key",
    secretReference(),
    "Where the pre-shared key of the Gryt main API is found.",
    undefined,
    "`$AGENT_API_KEY`",
  ),
  grytEncryptionKey: key(
    "gryt.encryption_key",
    secretReference(),
    "Where the Fernet key is found that the tokens of repositories are encrypted with.",
    undefined,
    "`$GRYT_ENCRYPTION_KEY`",
  ),
  grytImage: key(
    "gryt.image",
    text("the name of an image", /^[^\s]+$/),
    "Image of a job that names none.",
    undefined,
    "`$GRYT_DOCKER_IMAGE`, else `ghcr.io/epyklab/gryt/pipeline:latest`",
  ),
  grytEnvFile: key(
    "gryt.env_file",
    path("absolute"),
    'File of `export NAME="value"` lines, as Gryt\'s `.envrc`, read for the `AGENT_*` and `GRYT_*` ' +
      "variables that the environment does not have; mode 0600.",
  ),
  grytTimeout: key(
    "gryt.timeout",
    duration(jobTimeout),
    "Time limit of a job of the Gryt API.",
    "1h",
  ),
  grytMaxOutput: key(
    "gryt.max_output",
    size({ min: KIB, max: GIB }),
    "Bytes of each of stdout and stderr in an answer; what is longer loses its middle.",
    "4M",
  ),
  grytCallbacks: key(
    "gryt.callbacks",
    textList("a list of http:// or https:// prefixes", /^https?:\/\/[^\s@]+$/),
    "What a `callback_url` must begin with. Empty: every public address, none on this machine or " +
      "its link. In the environment variable: separated by commas.",
    [],
  ),
  grytPullUrl: key(
    "gryt.pull_url",
    webAddress(),
    "Main API that is asked for jobs, for agents that it cannot reach.",
    undefined,
    "`$GRYT_PULL_URL`, else none: jobs arrive by `POST /jobs/execute`",
  ),
  grytAgentUrls: key(
    "gryt.agent_urls",
    textList("a list of http:// or https:// addresses", WEB_ADDRESS),
    "Other agents that take turns with `POST /jobs/execute`; while none can be reached, jobs run " +
      "here. In the environment variable: separated by commas.",
    undefined,
    "`$AGENT_URLS`, else none: jobs run here",
  ),

  cleanImagesAge: key(
    "clean.images_unused_for",
    duration({ min: MINUTE, max: 3_650 * DAY }),
    "Images that jobs brought here and no job used for so long are removed by `cicd-runner clean`.",
    "14d",
  ),
  cleanImagesMax: key(
    "clean.images_max_size",
    size({ min: MIB, max: 1_024 * TIB }),
    "Disk space of the images that jobs brought here; those not used for longest go first.",
    "20G",
  ),
  cleanMirrorsAge: key(
    "clean.mirrors_unused_for",
    duration({ min: MINUTE, max: 3_650 * DAY }),
    "Copies of repositories that no job used for so long are removed.",
    "30d",
  ),

  retentionMaxAge: key(
    "retention.max_age",
    duration({ min: MINUTE, max: 3_650 * DAY }),
    "Finished jobs older than this are removed with their logs.",
    "30d",
  ),
  retentionMaxJobs: key(
    "retention.max_jobs",
    integer({ min: 1, max: 10_000_000 }),
    "Finished jobs that are kept; the oldest go first.",
    5_000,
  ),
  retentionMaxBytes: key(
    "retention.max_bytes",
    size({ min: MIB, max: 1_024 * TIB }),
    "Disk space that finished jobs may take; the oldest go first.",
    "10G",
  ),
  retentionMinFreeDisk: key(
    "retention.min_free_disk",
    size({ min: 0, max: 1_024 * TIB }),
    "With less free disk space than this, new jobs are answered with 507 and old ones removed.",
    "512M",
  ),
  retentionInterval: key(
    "retention.interval",
    duration({ min: SECOND, max: TIMER_MAX_MS }),
    "Time between two cleanings.",
    "1h",
  ),
} as const;

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

/** All of {@linkcode KEYS}, by name. */
export function allKeys(): ReadonlyMap<string, Key<unknown>> {
  return byName(Object.values(KEYS));
}

/** All of {@linkcode PROJECT_KEYS}, by name. */
export function allProjectKeys(): ReadonlyMap<string, Key<unknown>> {
  return byName(Object.values(PROJECT_KEYS));
}

/** The environment variable of a key: `CICD_QUEUE_MAX_RUNNING`. */
export function envNameOf(name: string): string {
  return `CICD_${name.replaceAll(".", "_").toUpperCase()}`;
}

/** The flag of a key: `--queue-max-running`. */
export function flagNameOf(name: string): string {
  return `--${name.replaceAll(/[._]/g, "-")}`;
}

function key<T>(
  name: string,
  type: ValueType<T>,
  doc: string,
  fallback?: unknown,
  fallbackText?: string,
): Key<T> {
  return { ...type, name, doc, fallback, fallbackText };
}

function byName(keys: readonly Key<unknown>[]): ReadonlyMap<string, Key<unknown>> {
  return new Map(keys.map((each) => [each.name, each]));
}
