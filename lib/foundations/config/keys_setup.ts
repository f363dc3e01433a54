/**
 * Configuration keys of what is done around jobs: containers, checkouts, artifacts, caches.
 *
 * @module
 */
import { key } from "@lib/foundations/config/key.ts";
import {
  DAY,
  imagePatterns,
  KIB,
  MIB,
  MINUTE,
  networkName,
  tasks,
  TIB,
  webAddress,
} from "@lib/foundations/config/key_ranges.ts";
import {
  choice,
  choices,
  duration,
  flag,
  integer,
  path,
  secretReference,
  size,
  text,
} from "@lib/core/value_types.ts";

/** Containers, checkouts, artifacts and caches. */
export const SETUP_KEYS = {
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
} as const;
