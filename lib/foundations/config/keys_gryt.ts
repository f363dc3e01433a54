/**
 * Configuration keys of the Gryt-compatible API.
 *
 * @module
 */
import { key } from "@lib/foundations/config/key.ts";
import {
  GIB,
  jobTimeout,
  KIB,
  WEB_ADDRESS,
  webAddress,
} from "@lib/foundations/config/key_ranges.ts";
import { duration, path, secretReference, size, text, textList } from "@lib/core/value_types.ts";

/** The Gryt-compatible API. */
export const GRYT_KEYS = {
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
} as const;
