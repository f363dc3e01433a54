/**
 * The settings of the console link: from the configuration, else from the `SINDRI_*` variables.
 *
 * @module
 */
import { CicdError, messageOf } from "@lib/core/errors.ts";
import { type ConsoleConfig, isConsoleConfigured } from "@lib/features/console/keys.ts";
import { WEB_ADDRESS } from "@lib/foundations/config/ranges.ts";
import type { FoundPlatform } from "@lib/foundations/host/platform.ts";
import { resolveSecret } from "@lib/foundations/secrets/references.ts";
import { Secret } from "@lib/foundations/secrets/secret.ts";

/** The settings; `unusable` holds no secret in its problems. */
export type ConsoleSettings =
  | { readonly kind: "off" }
  | { readonly kind: "unusable"; readonly problems: readonly string[] }
  | LinkSettings;

/** The settings of a link that is on. */
export interface LinkSettings {
  readonly kind: "on";
  /** Without a trailing slash. */
  readonly url: string;
  readonly apiKey: Secret;
  readonly instanceId: string;
  readonly provider: string;
  readonly region: string | undefined;
  readonly distro: string | undefined;
  readonly heartbeatMs: number;
  readonly metricsMs: number;
  readonly usageMs: number;
  readonly tags: Readonly<Record<string, string>>;
  /** Values that the console would refuse, and dangers, one sentence each. */
  readonly warnings: readonly string[];
}

/** Sources for {@linkcode readConsoleSettings}. */
export interface ConsoleSettingsSource {
  readonly config: ConsoleConfig;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly hostname: () => string;
  /** Called only if something is not set. */
  readonly platform: () => FoundPlatform;
}

/** The providers that the console takes. */
const PROVIDERS = [
  ...["fly", "docker", "devpod", "e2b", "kubernetes", "digitalocean", "gcp", "azure", "aws"],
  ...["runpod", "northflank", "ssh"],
];
const OTHER_NAMES: Readonly<Record<string, string>> = { k8s: "kubernetes" };
const OTHER_PROVIDER = "ssh";
/** The distributions that the console takes; with any other it refuses the whole request. */
const DISTROS = ["ubuntu", "fedora", "opensuse"];
const ID = /^[\x21-\x7e]{1,128}$/;
const MAX_INTERVAL_MS = 86_400_000;

/** Reads the settings. */
export function readConsoleSettings(source: ConsoleSettingsSource): ConsoleSettings {
  const { config, env, hostname } = source;
  if (!isConsoleConfigured(config, env)) return { kind: "off" };
  const problems: string[] = [];
  const warnings: string[] = [];
  const variable = (name: string) => env[name] || undefined;
  const seconds = (set: number | undefined, name: string, ofSeconds: string, fallback: number) => {
    if (set !== undefined) return set;
    const text = variable(name);
    if (text === undefined) return fallback;
    const ms = /^\+?(\d+\.?\d*|\.\d+)$/.test(text) ? Number(text) * 1_000 : NaN;
    if (ms >= 1 && ms <= MAX_INTERVAL_MS) return ms;
    problems.push(`${name} must be a positive number${ofSeconds}, got "${text.slice(0, 40)}"`);
    return fallback;
  };
  const ofSeconds = " of seconds";
  const url = (config.url ?? variable("SINDRI_CONSOLE_URL") ?? "").replace(/\/+$/, "");
  if (!WEB_ADDRESS.test(url) || !URL.canParse(url)) {
    problems.push("SINDRI_CONSOLE_URL must be an http:// or https:// address without credentials");
  } else if (url.startsWith("http:") && !isLocal(new URL(url).hostname)) {
    warnings.push(
      "The address of the console is http://: its key crosses the network in the clear",
    );
  }
  const apiKey = keyOf(source, problems);
  const instanceId = config.instanceId ?? variable("SINDRI_INSTANCE_ID") ?? hostname();
  if (!ID.test(instanceId)) {
    problems.push(
      "SINDRI_INSTANCE_ID, else the hostname, must be 1 to 128 printable characters without spaces",
    );
  }
  const set: FoundPlatform = {
    ...optional("provider", config.provider ?? variable("SINDRI_PROVIDER")),
    ...optional("region", config.region ?? variable("SINDRI_REGION")),
    ...optional("distro", config.distro ?? variable("SINDRI_DISTRO")),
  };
  const isComplete = Object.keys(set).length === 3;
  const { provider, region, distro } = isComplete ? set : { ...source.platform(), ...set };
  const heartbeatMs = seconds(config.heartbeatMs, "SINDRI_AGENT_HEARTBEAT", ofSeconds, 20_000);
  const metricsMs = seconds(config.metricsMs, "SINDRI_AGENT_METRICS", ofSeconds, 60_000);
  const usageMs = seconds(config.usageMs, "SINDRI_LLM_REPORT_INTERVAL", "", 30_000);
  if (problems.length > 0 || apiKey === undefined) return { kind: "unusable", problems };
  return {
    kind: "on",
    url,
    apiKey,
    instanceId,
    provider: providerOf(provider, warnings),
    region: region?.slice(0, 64),
    distro: distroOf(distro, warnings),
    heartbeatMs,
    metricsMs,
    usageMs,
    tags: config.tags ?? tagsIn(variable("SINDRI_AGENT_TAGS") ?? ""),
    warnings,
  };
}

function keyOf(
  { config: { apiKey }, env }: ConsoleSettingsSource,
  problems: string[],
): Secret | undefined {
  const value = env["SINDRI_CONSOLE_API_KEY"] || undefined;
  try {
    const key = apiKey === undefined
      ? value === undefined ? undefined : new Secret(value)
      : resolveSecret(apiKey, { field: "console.api_key", env: (one) => env[one] });
    if (key === undefined) {
      problems.push("SINDRI_CONSOLE_API_KEY is required, or console.api_key");
    } else if (!/^[\x21-\x7e]+$/.test(key.expose())) {
      problems.push("The API key of the console must be printable characters without spaces");
    } else return key;
  } catch (error) {
    if (!(error instanceof CicdError)) throw error;
    problems.push(messageOf(error));
  }
  return undefined;
}

function providerOf(given: string | undefined, warnings: string[]): string {
  if (given === undefined) return OTHER_PROVIDER;
  const lower = given.toLowerCase();
  const provider = OTHER_NAMES[lower] ?? lower;
  if (PROVIDERS.includes(provider)) return provider;
  warnings.push(`The console has no provider "${given}"; "${OTHER_PROVIDER}" is sent instead`);
  return OTHER_PROVIDER;
}

function distroOf(given: string | undefined, warnings: string[]): string | undefined {
  if (given === undefined) return undefined;
  const distro = given.toLowerCase().replace(/^opensuse.*$/, "opensuse");
  if (DISTROS.includes(distro)) return distro;
  warnings.push(`The console has no distribution "${given}"; it is left out`);
  return undefined;
}

/** Pairs without `=` are skipped. */
function tagsIn(text: string): Readonly<Record<string, string>> {
  return Object.fromEntries(
    text.split(",").slice(0, 64).flatMap((pair) => {
      const equals = pair.indexOf("=");
      const name = pair.slice(0, equals).trim();
      return equals < 0 || name === "" ? [] : [[name, pair.slice(equals + 1).trim()]];
    }),
  );
}

function isLocal(host: string): boolean {
  return host === "localhost" || host === "[::1]" || /^127\./.test(host);
}

function optional<Name extends string>(name: Name, value: string | undefined) {
  return value === undefined ? {} : { [name]: value };
}
