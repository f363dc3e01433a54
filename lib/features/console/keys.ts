/**
 * Configuration keys of the console link.
 *
 * @module
 */
import { duration, mapOf, secretReference, text } from "@lib/core/value_types.ts";
import { section } from "@lib/foundations/config/config.ts";
import { optionalKey, type ValuesOf } from "@lib/foundations/config/key.ts";
import { DAY, SECOND, webAddress } from "@lib/foundations/config/ranges.ts";

const interval = { min: SECOND / 10, max: DAY };

/** Keys of the console link; `SINDRI_*` variables stand in for absent ones. */
export const CONSOLE = section({
  keys: {
    url: optionalKey(
      "console.url",
      webAddress(),
      "Fleet console to connect to. The link is off without it.",
      { text: "`$SINDRI_CONSOLE_URL`, else none: the link is off" },
    ),
    apiKey: optionalKey(
      "console.api_key",
      secretReference(),
      "Reference to the API key of the console.",
      { text: "`$SINDRI_CONSOLE_API_KEY`" },
    ),
    instanceId: optionalKey(
      "console.instance_id",
      text("1 to 128 printable characters without spaces", /^[\x21-\x7e]{1,128}$/),
      "Id of this instance in the console. With a name that the console does not know, the runner " +
        "registers itself, and uses the id that the console gives it.",
      { text: "`$SINDRI_INSTANCE_ID`, else the name of the machine" },
    ),
    provider: optionalKey(
      "console.provider",
      text("1 to 32 letters, digits and -", /^[A-Za-z0-9-]{1,32}$/),
      "Where the instance runs, as the console lists it: `fly`, `docker`, `devpod`, `e2b`, " +
        "`kubernetes`, `digitalocean`, `gcp`, `azure`, `aws`, `runpod`, `northflank` or `ssh`.",
      { text: "`$SINDRI_PROVIDER`, else found out, else `ssh`" },
    ),
    region: optionalKey(
      "console.region",
      text("1 to 64 printable characters", /^[\x20-\x7e]{1,64}$/),
      "Region of the instance.",
      { text: "`$SINDRI_REGION`, else found out" },
    ),
    distro: optionalKey(
      "console.distro",
      text("1 to 32 letters, digits, - and .", /^[A-Za-z0-9.-]{1,32}$/),
      "Distribution of the instance. The console takes `ubuntu`, `fedora` and `opensuse`; others " +
        "are left out.",
      { text: "`$SINDRI_DISTRO`, else found out" },
    ),
    heartbeatMs: optionalKey(
      "console.heartbeat",
      duration(interval),
      "Time between two heartbeats. The console takes an instance for offline after 30 s.",
      { text: "`$SINDRI_AGENT_HEARTBEAT` seconds, else `20s`" },
    ),
    metricsMs: optionalKey(
      "console.metrics",
      duration(interval),
      "Time between two samples of the machine.",
      { text: "`$SINDRI_AGENT_METRICS` seconds, else `60s`" },
    ),
    usageMs: optionalKey(
      "console.usage",
      duration(interval),
      "Time between two batches of the usage of language models.",
      { text: "`$SINDRI_LLM_REPORT_INTERVAL` seconds, else `30s`" },
    ),
    tags: optionalKey(
      "console.tags",
      mapOf(text("at most 256 printable characters", /^[^\p{Cc}]{0,256}$/u), {
        nameProblem: (name) =>
          /^[^\p{Cc}=,]{1,128}$/u.test(name) ? undefined : "is not a usable name of a tag",
        max: 64,
      }),
      "Tags of the instance, by name.",
      { text: "`$SINDRI_AGENT_TAGS` as `NAME=VALUE,…`" },
    ),
  },
});

/** The values of {@linkcode CONSOLE}. */
export type ConsoleConfig = ValuesOf<typeof CONSOLE.keys>;

/** Returns true if the link is on, or would be if its settings were usable. */
export function isConsoleConfigured(
  { url }: ConsoleConfig,
  env: Readonly<Record<string, string | undefined>>,
): boolean {
  return (url ?? env["SINDRI_CONSOLE_URL"] ?? "") !== "";
}
