/**
 * Addresses of container engines.
 *
 * @module
 */
import { CicdError } from "@lib/core/errors.ts";

/** The address of an engine. */
export type EngineAddress =
  | { readonly kind: "unix"; readonly path: string }
  | {
    readonly kind: "tcp";
    readonly host: string;
    readonly port: number;
    /** Directory of `ca.pem`, `cert.pem` and `key.pem`; absent: plain HTTP. */
    readonly tlsDirectory?: string;
  };

/** Options for {@linkcode findEngine}. */
export interface FindEngineOptions {
  /** `containers.host` of the configuration. */
  readonly host?: string | undefined;
  /** `DOCKER_HOST`, `CONTAINER_HOST`, `XDG_RUNTIME_DIR`, `DOCKER_TLS_VERIFY`, `DOCKER_CERT_PATH`. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Tells if there is a Unix socket at a path. @default {isSocket} */
  readonly isSocket?: (path: string) => boolean;
}

/**
 * Finds the engine: the configured one, that of the environment, else the first existing socket of
 * rootless Docker, rootless Podman, the system's Docker and the system's Podman.
 *
 * @throws {CicdError} `engine_unavailable` if there is none, `invalid_config` if a configured
 * address is invalid.
 */
export function findEngine(options: FindEngineOptions): EngineAddress {
  const { host, env, isSocket: there = isSocket } = options;
  const named = [
    ["containers.host", host],
    ["DOCKER_HOST", env["DOCKER_HOST"]],
    ["CONTAINER_HOST", env["CONTAINER_HOST"]],
  ] as const;
  for (const [name, value] of named) {
    if (value === undefined || value === "") continue;
    const address = parseEngineHost(value, env);
    if (address !== undefined) return address;
    throw new CicdError(
      "invalid_config",
      `Cannot use ${name} "${value}": expected unix:///path or tcp://host:port`,
    );
  }
  const runtimeDir = env["XDG_RUNTIME_DIR"] ?? "";
  const sockets = [
    ...(runtimeDir === "" ? [] : [`${runtimeDir}/docker.sock`, `${runtimeDir}/podman/podman.sock`]),
    "/var/run/docker.sock",
    "/run/podman/podman.sock",
  ];
  const path = sockets.find(there);
  if (path !== undefined) return { kind: "unix", path };
  throw new CicdError(
    "engine_unavailable",
    `Cannot find a container engine: no socket at ${sockets.join(", ")}; start Docker ` +
      "or Podman, or set containers.host",
  );
}

/** Parses `unix:///path`, `tcp://host:port` or `http(s)://host:port`; `undefined` if invalid. */
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

/** Formats an address for messages: `unix:///run/docker.sock`. */
export function formatEngineAddress(address: EngineAddress): string {
  return address.kind === "unix"
    ? `unix://${address.path}`
    : `tcp://${address.host}:${address.port}`;
}

function defaultPort(text: string, secure: boolean): number {
  if (/^(tcp|https?):\/\/[^/]*:80(\/|$)/.test(text)) return 80;
  if (/^https:/.test(text)) return 443;
  return secure ? 2376 : 2375;
}

function isSocket(path: string): boolean {
  try {
    return Deno.statSync(path).isSocket === true;
  } catch {
    // Absent, or in a directory that this account cannot read: of no use either way.
    return false;
  }
}
