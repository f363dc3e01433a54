/**
 * The settings of the Gryt-compatible API: from the configuration, else from
 * the environment, else from the file of variables.
 *
 * @module
 */
import type { Config } from "@lib/foundations/config/config.ts";
import { LISTEN } from "@lib/foundations/config/program_keys.ts";
import { WEB_ADDRESS } from "@lib/foundations/config/ranges.ts";
import { CicdError, messageOf } from "@lib/core/errors.ts";
import { parseProjectName, type ProjectName } from "@lib/core/ids.ts";
import { resolveSecret } from "@lib/foundations/secrets/references.ts";
import { Secret } from "@lib/foundations/secrets/secret.ts";
import { readEnvrc } from "@lib/features/gryt/envrc.ts";
import { GRYT, type GrytConfig } from "@lib/features/gryt/keys.ts";
import { type FernetKey, parseFernetKey } from "@lib/features/gryt/fernet.ts";

/** The image of jobs that name none, unless another is configured. */
export const GRYT_DEFAULT_IMAGE = "ghcr.io/epyklab/gryt/pipeline:latest";
/** Port of a listener with only a host. */
const DEFAULT_PORT = 8080;
/** Most other agents. */
const MAX_AGENTS = 64;

/** The settings of the Gryt-compatible API. */
export interface GrytSettings {
  readonly project: ProjectName;
  /** Absent: requests are refused as "not configured". */
  readonly apiKey?: Secret;
  /** Absent: repository tokens cannot be decrypted. */
  readonly encryptionKey?: FernetKey;
  readonly image: string;
  readonly timeoutMs: number;
  readonly maxOutputBytes: number;
  /** Allowed prefixes of a callback; empty: any public address. */
  readonly callbacks: readonly string[];
  /** Without a trailing slash. */
  readonly pullUrl?: string;
  /** Other agents, without trailing slashes; empty: jobs run here. */
  readonly agentUrls: readonly string[];
  /** `AGENT_HOST` and `AGENT_PORT`, if either is set. */
  readonly listen?: { readonly host: string; readonly port: number };
  /** Unusable settings, one sentence each; holds no secret. */
  readonly problems: readonly string[];
}

type Environment = Readonly<Record<string, string | undefined>>;

/** Sources for {@linkcode readGrytSettings}. */
export interface GrytSettingsSource {
  readonly config: GrytConfig;
  readonly env: Environment;
  /** Reads the file of variables. @default {readEnvrc} */
  readonly readFile?: typeof readEnvrc;
}

const VARIABLES = /^(AGENT_(API_KEY|HOST|PORT|URLS)|GRYT_(ENCRYPTION_KEY|DOCKER_IMAGE|PULL_URL))$/;

/**
 * Reads the settings.
 *
 * An unusable setting becomes a problem and is left out, so that the rest of the runner works;
 * without a key, requests are refused, never let through.
 */
export function readGrytSettings(source: GrytSettingsSource): GrytSettings {
  const { config, env, readFile = readEnvrc } = source;
  const problems: string[] = [];
  const attempt = <T>(read: () => T): T | undefined => {
    try {
      return read();
    } catch (error) {
      if (!(error instanceof CicdError)) throw error;
      problems.push(messageOf(error));
      return undefined;
    }
  };
  const { envFile: path } = config;
  const wanted = (name: string) => VARIABLES.test(name);
  const file = path === undefined ? undefined : attempt(() => readFile({ path, wanted }));
  const variable = (name: string): string | undefined => {
    const value = env[name] ?? file?.get(name);
    return value === undefined || value.trim() === "" ? undefined : value.trim();
  };
  const secret = (field: string, reference: string | undefined, name: string) => {
    if (reference !== undefined) {
      return attempt(() => resolveSecret(reference, { field, env: (one) => env[one] }));
    }
    const value = variable(name);
    return value === undefined ? undefined : new Secret(value);
  };
  const apiKey = secret("gryt.api_key", config.apiKey, "AGENT_API_KEY");
  const keyText = secret("gryt.encryption_key", config.encryptionKey, "GRYT_ENCRYPTION_KEY");
  const encryptionKey = keyText && attempt(() =>
    parseFernetKey(keyText.expose(), {
      field: config.encryptionKey === undefined ? "GRYT_ENCRYPTION_KEY" : "gryt.encryption_key",
    })
  );
  const address = (text: string, name: string): readonly string[] => {
    if (WEB_ADDRESS.test(text)) return [text.replace(/\/+$/, "")];
    problems.push(
      `Cannot use ${name}: it contains an entry that is not an http:// or https:// address`,
    );
    return [];
  };
  const agents = config.agentUrls ?? splitList(variable("AGENT_URLS"));
  if (agents.length > MAX_AGENTS) {
    problems.push(
      `Cannot use more than ${MAX_AGENTS} of the ${agents.length} agents of AGENT_URLS`,
    );
  }
  const pullFrom = config.pullUrl ?? variable("GRYT_PULL_URL");
  const [pullUrl] = pullFrom === undefined ? [] : address(pullFrom, "GRYT_PULL_URL");
  const listen = attempt(() => listenOf(variable("AGENT_HOST"), variable("AGENT_PORT")));
  return {
    project: projectOf(config.project),
    image: config.image ?? variable("GRYT_DOCKER_IMAGE") ?? GRYT_DEFAULT_IMAGE,
    timeoutMs: config.timeoutMs,
    maxOutputBytes: config.maxOutputBytes,
    callbacks: config.callbacks,
    agentUrls: agents.slice(0, MAX_AGENTS).flatMap((url) => address(url, "AGENT_URLS")),
    problems,
    ...(apiKey === undefined ? {} : { apiKey }),
    ...(encryptionKey === undefined ? {} : { encryptionKey }),
    ...(pullUrl === undefined ? {} : { pullUrl }),
    ...(listen === undefined ? {} : { listen }),
  };
}

/** Returns `HOST:PORT` of `AGENT_HOST` and `AGENT_PORT`; `undefined` if neither is set. */
export function grytListenAddress({ listen }: GrytSettings): string | undefined {
  if (listen === undefined) return undefined;
  const { host, port } = listen;
  return `${host.includes(":") ? `[${host}]` : host}:${port}`;
}

/** Fills in an absent `listen.address` from `AGENT_HOST` and `AGENT_PORT`; reports no problems. */
export function withGrytListener(config: Config, env: Environment): Config {
  const gryt = config.of(GRYT);
  const mayBeSet = env["AGENT_HOST"] !== undefined || env["AGENT_PORT"] !== undefined ||
    gryt.envFile !== undefined;
  if (config.of(LISTEN).address !== undefined || !mayBeSet) return config;
  const address = grytListenAddress(readGrytSettings({ config: gryt, env }));
  return address === undefined ? config : config.withDefault(LISTEN.keys.address, address);
}

/** A port alone listens on loopback: listening to the outside must be explicit. */
function listenOf(host: string | undefined, port: string | undefined): GrytSettings["listen"] {
  if (host === undefined && port === undefined) return undefined;
  const number = port === undefined ? DEFAULT_PORT : /^\d{1,5}$/.test(port) ? Number(port) : NaN;
  if (!(number >= 1 && number <= 65_535)) {
    throw new CicdError("invalid_config", "Cannot use AGENT_PORT: give a port from 1 to 65535");
  }
  const name = (host ?? "127.0.0.1").replace(/^\[(.*)\]$/, "$1");
  if (!/^[A-Za-z0-9.:_-]+$/.test(name)) {
    throw new CicdError("invalid_config", "Cannot use AGENT_HOST: give an address or a host name");
  }
  return { host: name, port: number };
}

function splitList(text: string | undefined): readonly string[] {
  return (text ?? "").split(",").map((one) => one.trim()).filter((one) => one !== "");
}

function projectOf(text: string): ProjectName {
  const project = parseProjectName(text);
  if (project !== undefined) return project;
  throw new CicdError("invalid_config", `Cannot use gryt.project: "${text}" is not a project name`);
}
