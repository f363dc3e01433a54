/**
 * Configuration keys of the Gryt-compatible API.
 *
 * @module
 */
import { duration, path, secretReference, size, text, textList } from "@lib/core/value_types.ts";
import { section } from "@lib/foundations/config/config.ts";
import { key, optionalKey, type ValuesOf } from "@lib/foundations/config/key.ts";
import { GIB, jobTimeout, KIB, WEB_ADDRESS, webAddress } from "@lib/foundations/config/ranges.ts";

/** The Gryt-compatible API; keys are references to secrets, what is absent comes from `AGENT_*`. */
export const GRYT = section({
  keys: {
    project: key(
      "gryt.project",
      text("a project's name", /^[a-z0-9][a-z0-9-]{0,55}$/),
      "Project of the jobs that arrive through the Gryt-compatible API.",
      "gryt",
    ),
    apiKey: optionalKey(
      "gryt.api_key",
      secretReference(),
      "Where the pre-shared key of the Gryt main API is found.",
      { text: "`$AGENT_API_KEY`" },
    ),
    encryptionKey: optionalKey(
      "gryt.encryption_key",
      secretReference(),
      "Where the Fernet key is found that the tokens of repositories are encrypted with.",
      { text: "`$GRYT_ENCRYPTION_KEY`" },
    ),
    image: optionalKey(
      "gryt.image",
      text("the name of an image", /^[^\s]+$/),
      "Image of a job that names none.",
      { text: "`$GRYT_DOCKER_IMAGE`, else `ghcr.io/epyklab/gryt/pipeline:latest`" },
    ),
    envFile: optionalKey(
      "gryt.env_file",
      path("absolute"),
      'File of `export NAME="value"` lines, as Gryt\'s `.envrc`, read for the `AGENT_*` and ' +
        "`GRYT_*` variables that the environment does not have; mode 0600.",
    ),
    timeoutMs: key(
      "gryt.timeout",
      duration(jobTimeout),
      "Time limit of a job of the Gryt API.",
      "1h",
    ),
    maxOutputBytes: key(
      "gryt.max_output",
      size({ min: KIB, max: GIB }),
      "Bytes of each of stdout and stderr in an answer; what is longer loses its middle.",
      "4M",
    ),
    callbacks: key(
      "gryt.callbacks",
      textList("a list of http:// or https:// prefixes", /^https?:\/\/[^\s@]+$/),
      "What a `callback_url` must begin with. Empty: every public address, none on this machine " +
        "or its link. In the environment variable: separated by commas.",
      [],
    ),
    pullUrl: optionalKey(
      "gryt.pull_url",
      webAddress(),
      "Main API that is asked for jobs, for agents that it cannot reach.",
      { text: "`$GRYT_PULL_URL`, else none: jobs arrive by `POST /jobs/execute`" },
    ),
    agentUrls: optionalKey(
      "gryt.agent_urls",
      textList("a list of http:// or https:// addresses", WEB_ADDRESS),
      "Other agents that take turns with `POST /jobs/execute`; while none can be reached, jobs " +
        "run here. In the environment variable: separated by commas.",
      { text: "`$AGENT_URLS`, else none: jobs run here" },
    ),
  },
});

/** The values of {@linkcode GRYT}. */
export type GrytConfig = ValuesOf<typeof GRYT.keys>;
