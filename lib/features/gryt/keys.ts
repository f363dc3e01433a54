/**
 * Configuration keys of the Gryt-compatible API.
 *
 * @module
 */
import {
  duration,
  listOf,
  path,
  secretReference,
  size,
  text,
  textList,
} from "@lib/core/value_types.ts";
import { section } from "@lib/foundations/config/config.ts";
import { key, optionalKey, type ValuesOf } from "@lib/foundations/config/key.ts";
import { GIB, jobTimeout, KIB, webAddress } from "@lib/foundations/config/ranges.ts";

/** Keys of the Gryt-compatible API; `AGENT_*` and `GRYT_*` variables stand in for absent ones. */
export const GRYT = section({
  keys: {
    project: key(
      "gryt.project",
      text("a project name", /^[a-z0-9][a-z0-9-]{0,55}$/),
      "Project of jobs that arrive through the Gryt-compatible API.",
      "gryt",
    ),
    apiKey: optionalKey(
      "gryt.api_key",
      secretReference(),
      "Reference to the pre-shared key of the Gryt main API.",
      { text: "`$AGENT_API_KEY`" },
    ),
    encryptionKey: optionalKey(
      "gryt.encryption_key",
      secretReference(),
      "Reference to the Fernet key that decrypts repository tokens.",
      { text: "`$GRYT_ENCRYPTION_KEY`" },
    ),
    image: optionalKey(
      "gryt.image",
      text("an image name", /^[^\s]+$/),
      "Image of jobs that name none.",
      { text: "`$GRYT_DOCKER_IMAGE`, else `ghcr.io/epyklab/gryt/pipeline:latest`" },
    ),
    envFile: optionalKey(
      "gryt.env_file",
      path("absolute"),
      'File of `export NAME="value"` lines, such as Gryt\'s `.envrc`, with the `AGENT_*` and ' +
        "`GRYT_*` variables that are not set in the environment; mode 0600.",
    ),
    timeoutMs: key(
      "gryt.timeout",
      duration(jobTimeout),
      "Time limit of jobs from the Gryt API.",
      "1h",
    ),
    maxOutputBytes: key(
      "gryt.max_output",
      size({ min: KIB, max: GIB }),
      "Bytes of each of stdout and stderr in an answer; longer output loses its middle.",
      "4M",
    ),
    callbacks: key(
      "gryt.callbacks",
      textList("a list of http:// or https:// prefixes", /^https?:\/\/[^\s@]+$/),
      "Allowed prefixes of a `callback_url`. Empty: every public address, but none on this machine " +
        "or its local networks. In the environment variable: separated by commas.",
      [],
    ),
    pullUrl: optionalKey(
      "gryt.pull_url",
      webAddress(),
      "Main API to pull jobs from, for agents that it cannot reach.",
      { text: "`$GRYT_PULL_URL`, else none: jobs arrive by `POST /jobs/execute`" },
    ),
    agentUrls: optionalKey(
      "gryt.agent_urls",
      listOf(webAddress(), { max: 256, accepts: "a list of http:// or https:// addresses" }),
      "Other agents that receive `POST /jobs/execute` in turn; while none is reachable, jobs run " +
        "here. In the environment variable: separated by commas.",
      { text: "`$AGENT_URLS`, else none: jobs run here" },
    ),
  },
});

/** The values of {@linkcode GRYT}. */
export type GrytConfig = ValuesOf<typeof GRYT.keys>;
