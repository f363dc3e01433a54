/**
 * Where the container engine listens.
 *
 * @module
 */
import { CicdError } from "@lib/core/errors.ts";

/** How an engine is reached. */
export type EngineAddress =
  | { readonly kind: "unix"; readonly path: string }
  | {
    readonly kind: "tcp";
    readonly host: string;
    readonly port: number;
    /** Directory of `ca.pem`, `cert.pem` and `key.pem`; absent: plain HTTP. */
    readonly tlsDirectory?: string;
  };

/** What the choice depends on. */
export interface FindEngineOptions {
  /** `containers.host` of the configuration. */
  readonly host?: string | undefined;
  /** `DOCKER_HOST`, `CONTAINER_HOST`, `XDG_RUNTIME_DIR`, `DOCKER_TLS_VERIFY`, `DOCKER_CERT_PATH`. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Whether something listens, or may, on a Unix socket; {@linkcode isSocket} unless given. */
  readonly isSocket?: (path: string) => boolean;
}

/** The system's own sockets, tried last. */
const SYSTEM_SOCKETS = ["/var/run/docker.sock", "/run/podman/podman.sock"] as const;

/**
 * Chooses the engine: what is configured, what the environment names, else the first socket that
 * is there: rootless Docker, rootless Podman, the system's Docker, the system's Podman.
 *
 * @throws {CicdError} `engine_unavailable` if there is none, `invalid_config` if what is named
 * cannot be read.
 */
export function findEngine(options: FindEngineOptions): EngineAddress {
  const { host, env, isSocket: there = isSocket } = options;
  for (const [name, value] of namedHosts(host, env)) {
    if (value === undefined || value === "") continue;
    const address = parseEngineHost(value, env);
    if (address !== undefined) return address;
    throw new CicdError(
      "invalid_config",
      `Cannot use ${name} "${value}": it is neither unix:///path nor tcp://host:port`,
    );
  }
  const sockets = engineSockets(env);
  const path = sockets.find(there);
  if (path !== undefined) return { kind: "unix", path };
  throw new CicdError(
    "engine_unavailable",
    `Cannot find a container engine: there is no socket at ${sockets.join(", ")}; start Docker ` +
      "or Podman, or set containers.host",
  );
}

/** The sockets that are looked at when nothing is named, in their order. */
function engineSockets(
  { XDG_RUNTIME_DIR: runtimeDir }: FindEngineOptions["env"],
): readonly string[] {
  const own = runtimeDir === undefined || runtimeDir === ""
    ? []
    : [`${runtimeDir}/docker.sock`, `${runtimeDir}/podman/podman.sock`];
  return [...own, ...SYSTEM_SOCKETS];
}

/** Reads `unix:///path`, `tcp://host:port` or `http(s)://host:port`; `undefined` if it is none. */
export function parseEngineHost(
  text: string,
  env: FindEngineOptions["env"] = {},
): EngineAddress | undefined {
  const [, path] = /^unix:\/\/(\/[^\0]+)$/.exec(text) ?? [];
  if (path !== undefined) return { kind: "unix", path };
  if (!/^(tcp|https?):\/\//.test(text) || !URL.canParse(text)) return undefined;
  const { hostname, port, username, password } = new URL(text.replace(/^tcp:/, "http:"));
  if (username !== "" || password !== "" || hostname === "") return undefined;
  const secure = text.startsWith("https:") || (env["DOCKER_TLS_VERIFY"] ?? "") !== "";
  const tlsDirectory = env["DOCKER_CERT_PATH"] ?? `${env["HOME"] ?? ""}/.docker`;
  return {
    kind: "tcp",
    // IPv6 comes in brackets.
    host: hostname.replace(/^\[(.*)\]$/, "$1"),
    // The URL leaves out the usual port of its scheme.
    port: port === "" ? defaultPort(text, secure) : Number(port),
    ...(secure ? { tlsDirectory } : {}),
  };
}

/** For messages: `unix:///run/docker.sock`. */
export function formatEngineAddress(address: EngineAddress): string {
  return address.kind === "unix"
    ? `unix://${address.path}`
    : `tcp://${address.host}:${address.port}`;
}

function namedHosts(host: string | undefined, env: FindEngineOptions["env"]) {
  return [
    ["containers.host", host],
    ["DOCKER_HOST", env["DOCKER_HOST"]],
    ["CONTAINER_HOST", env["CONTAINER_HOST"]],
  ] as const;
}

function defaultPort(text: string, secure: boolean): number {
  if (/^https?:\/\/[^/]*:80(\/|$)/.test(text) || /^tcp:\/\/[^/]*:80(\/|$)/.test(text)) return 80;
  if (/^https:/.test(text)) return 443;
  return secure ? 2376 : 2375;
}

function isSocket(path: string): boolean {
  try {
    return Deno.statSync(path).isSocket === true;
  } catch {
    // Not there, or in a directory of somebody else: nothing this account could use.
    return false;
  }
}
