/**
 * What the runner listens on, beside the Unix socket.
 *
 * @module
 */
import type { Config } from "@lib/foundations/config/config.ts";
import { LISTEN, type ListenSettings, PROGRAM } from "@lib/foundations/config/program_keys.ts";
import { CicdError, messageOf } from "@lib/core/errors.ts";
import {
  isLoopback,
  type ListenAddress,
  parseListenAddress,
} from "@lib/foundations/http/listen_address.ts";
import type { Listener, TlsTexts } from "@lib/foundations/http/server.ts";
import { readSmallFile } from "@lib/foundations/secrets/private_file.ts";

/** Listeners as configured and as handed over. */
export interface PlannedListeners {
  readonly listeners: readonly Listener[];
  /** Whether the runner opens a TCP socket of its own: nobody else would listen there. */
  readonly ownsTcp: boolean;
  /** What is dangerous about them, one sentence each. */
  readonly warnings: readonly string[];
}

/** A socket that the service manager opened. */
export interface PassedSocket {
  readonly fd: number;
  readonly name: string;
  /** Else it is one of a network. */
  readonly isUnix: boolean;
}

const PEM_MAX_BYTES = 1024 * 1024;

/**
 * Plans what to listen on.
 *
 * @param passed Sockets of the service manager; with any, no Unix socket of our own is made.
 * @throws {CicdError} `invalid_config` if the address or a file of TLS is no good.
 */
export function planListeners(
  config: Config,
  passed: readonly PassedSocket[],
): PlannedListeners {
  const listen = config.of(LISTEN);
  const tls = readTls(listen);
  const secured = tls === undefined ? {} : { tls };
  const unencrypted: string[] = [];
  const listeners: Listener[] = passed.map(({ fd, name, isUnix }) => {
    if (!isUnix && tls === undefined) unencrypted.push(`the socket unit's "${name}"`);
    return { kind: "fd", fd, name, isUnix, ...(isUnix ? {} : secured) };
  });
  if (passed.length === 0) listeners.push({ kind: "unix", path: config.of(PROGRAM).socket });
  const address = listen.address === undefined ? undefined : parseListenAddress(listen.address);
  if (address !== undefined) {
    listeners.push({ kind: "tcp", ...address, ...secured });
    if (isExposed(address, listen)) unencrypted.push(`"${listen.address}"`);
  }
  return {
    listeners,
    ownsTcp: address !== undefined,
    warnings: unencrypted.map((place) => exposedText(place)),
  };
}

/** Why the address of `listen` is dangerous; `undefined` if it is not, or there is none. */
export function exposureOf(listen: ListenSettings): string | undefined {
  if (listen.address === undefined) return undefined;
  return isExposed(parseListenAddress(listen.address), listen)
    ? exposedText(`"${listen.address}"`)
    : undefined;
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

function isExposed({ host }: ListenAddress, { tls }: ListenSettings): boolean {
  return tls === undefined && !isLoopback(host);
}

function exposedText(place: string): string {
  return `API keys and secrets cross the network unencrypted at ${place}: give listen.tls_certificate ` +
    "and listen.tls_key, or listen on 127.0.0.1 behind a proxy that speaks TLS";
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
    throw new CicdError("invalid_config", `Cannot read ${name}: ${messageOf(error)}`, {
      cause: error,
    });
  }
  throw new CicdError("invalid_config", `Cannot read ${name}: "${path}" is no PEM file`);
}
