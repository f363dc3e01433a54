/**
 * The listeners of the API: its Unix socket, sockets of the service manager, and TCP.
 *
 * @module
 */
import type { Config } from "@lib/foundations/config/config.ts";
import { LISTEN, type ListenSettings, PROGRAM } from "@lib/foundations/config/program_keys.ts";
import { CicdError, messageOf } from "@lib/core/errors.ts";
import { isLoopback, parseListenAddress } from "@lib/foundations/http/listen_address.ts";
import type { Listener, TlsTexts } from "@lib/foundations/http/server.ts";
import { readSmallFile } from "@lib/foundations/secrets/private_file.ts";

/** Listeners as configured and as passed. */
export interface PlannedListeners {
  readonly listeners: readonly Listener[];
  /** The runner opens a TCP socket itself, so nothing else would listen there. */
  readonly ownsTcp: boolean;
  /** Dangers of the listeners, one sentence each. */
  readonly warnings: readonly string[];
}

/** A socket that the service manager opened. */
export interface PassedSocket {
  readonly fd: number;
  readonly name: string;
  /** False: a network socket. */
  readonly isUnix: boolean;
  /** As of a {@linkcode Listener}. */
  readonly takeAccepted?: () => number | undefined;
}

const PEM_MAX_BYTES = 1024 * 1024;

/**
 * Plans what to listen on.
 *
 * @param passed Sockets of the service manager; with any, the runner opens no Unix socket.
 * @throws {CicdError} `invalid_config` if the address or a TLS file is invalid.
 */
export function planListeners(config: Config, passed: readonly PassedSocket[]): PlannedListeners {
  const listen = config.of(LISTEN);
  const tls = readTls(listen);
  const secured = tls === undefined ? {} : { tls };
  const warnings: string[] = [];
  const listeners: Listener[] = passed.map((socket) => {
    const { name, isUnix } = socket;
    if (!isUnix && tls === undefined) warnings.push(exposedText(`the socket unit's "${name}"`));
    return { kind: "fd", ...socket, ...(isUnix ? {} : secured) };
  });
  if (passed.length === 0) listeners.push({ kind: "unix", path: config.of(PROGRAM).socket });
  const { address } = listen;
  if (address !== undefined) {
    listeners.push({ kind: "tcp", ...parseListenAddress(address), ...secured });
    warnings.push(...[exposureOf(listen)].filter((danger) => danger !== undefined));
  }
  return { listeners, ownsTcp: address !== undefined, warnings };
}

/** Returns the danger of the configured address, if any. */
export function exposureOf({ address, tls }: ListenSettings): string | undefined {
  if (address === undefined || tls !== undefined) return undefined;
  return isLoopback(parseListenAddress(address).host) ? undefined : exposedText(`"${address}"`);
}

/**
 * Reads the certificate and its key.
 *
 * @returns `undefined` if none are configured.
 * @throws {CicdError} `invalid_config`, also if others may read the key.
 */
export function readTls({ tls }: ListenSettings): TlsTexts | undefined {
  if (tls === undefined) return undefined;
  return {
    certificate: readPem(tls.certificate, "listen.tls_certificate", false),
    key: readPem(tls.key, "listen.tls_key", true),
  };
}

function exposedText(place: string): string {
  return `API keys and secrets cross the network unencrypted at ${place}: set ` +
    "listen.tls_certificate and listen.tls_key, or listen on 127.0.0.1 behind a proxy with TLS";
}

function readPem(path: string, name: string, isKey: boolean): string {
  const bytes = readSmallFile(path, { what: name, maxBytes: PEM_MAX_BYTES, mustBePrivate: isKey });
  if (bytes === undefined) {
    throw new CicdError("invalid_config", `Cannot read ${name}: there is no file "${path}"`);
  }
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    if (text.includes("-----BEGIN ")) return text;
  } catch (error) {
    const problem = `Cannot read ${name}: ${messageOf(error)}`;
    throw new CicdError("invalid_config", problem, { cause: error });
  }
  throw new CicdError("invalid_config", `Cannot read ${name}: "${path}" is not a PEM file`);
}
