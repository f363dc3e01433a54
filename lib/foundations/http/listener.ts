/**
 * Sockets that a server listens on, and the origin of their requests.
 *
 * @module
 */
import { createPrivateKey, X509Certificate } from "node:crypto";
import type { Server } from "node:http";
import { CicdError, messageOf } from "@lib/core/errors.ts";
import { prepareSocketPath } from "@lib/foundations/http/socket_path.ts";

/** A certificate chain and its key, as PEM texts. */
export interface TlsTexts {
  readonly certificate: string;
  readonly key: string;
}

/** A socket to listen on. */
export type Listener =
  /** A descriptor passed by the service manager. */
  | {
    readonly kind: "fd";
    readonly fd: number;
    readonly name: string;
    /** According to the kernel; any other socket is a network socket. */
    readonly isUnix: boolean;
    /** Hands over the descriptor of a connection that was accepted from it already, once. */
    readonly takeAccepted?: () => number | undefined;
    /** For network sockets. */
    readonly tls?: TlsTexts;
  }
  /** An own Unix socket, mode 0600. */
  | { readonly kind: "unix"; readonly path: string }
  /** An own TCP socket; port 0 takes any free port. */
  | { readonly kind: "tcp"; readonly host: string; readonly port: number; readonly tls?: TlsTexts };

/** The origin of a request. */
export type Origin =
  /** A Unix socket: the mode of its file is the access control. */
  | { readonly kind: "local" }
  /** A network: the client is unauthenticated. */
  | { readonly kind: "remote"; readonly address: string };

/** A TCP address of a server. */
export interface BoundAddress {
  readonly host: string;
  readonly port: number;
  readonly isEncrypted: boolean;
}

const BACKLOG = 511;

/** Returns true if only this machine's own account can connect. */
export function isLocal(listener: Listener): boolean {
  return listener.kind === "unix" || (listener.kind === "fd" && listener.isUnix);
}

/** Returns the certificate of a TLS listener; `undefined` for any other. */
export function tlsOf(listener: Listener): TlsTexts | undefined {
  return isLocal(listener) || listener.kind === "unix" ? undefined : listener.tls;
}

/**
 * Listens.
 *
 * @throws {CicdError} `socket_in_use`
 */
export async function bind(server: Server, listener: Listener): Promise<void> {
  if (listener.kind === "unix") await prepareSocketPath(listener.path);
  try {
    await listening(server, listener);
  } catch (error) {
    const message = `Cannot listen on ${placeOf(listener)}: ${describe(error)}`;
    throw new CicdError("socket_in_use", message, { cause: error });
  }
}

/** Returns the descriptor of a listening server; `undefined` if the runtime hides it. */
export function descriptorOf(server: object): number | undefined {
  const handle = "_handle" in server ? server._handle : undefined;
  const fd = typeof handle === "object" && handle !== null && "fd" in handle ? handle.fd : -1;
  return typeof fd === "number" && fd >= 0 ? fd : undefined;
}

/** Formats an address for display: IPv4 within IPv6 is IPv4. */
export function shownAddress(address: string | undefined): string {
  return (address ?? "unknown").replace(/^::ffff:(?=\d+\.)/, "");
}

function placeOf(listener: Listener): string {
  switch (listener.kind) {
    case "unix":
      return `"${listener.path}"`;
    case "fd":
      return `descriptor ${listener.fd} ("${listener.name}")`;
    case "tcp":
      return `"${listener.host}", port ${listener.port} (listen.address)`;
  }
}

function describe(error: unknown): string {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  switch (code) {
    case "EADDRINUSE":
      return "another program listens there; stop it, or choose another port";
    case "EADDRNOTAVAIL":
      return "this machine does not have that address";
    case "EACCES":
      return "permission denied; ports below 1024 are for root";
    case "ENOTFOUND":
      return "the name has no address";
    default:
      return messageOf(error);
  }
}

/** Listens; an own socket file gets mode 0600. */
function listening(server: Server, where: Listener): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    const onListening = () => {
      server.removeListener("error", reject);
      resolve();
    };
    if (where.kind === "fd") {
      server.listen({ fd: where.fd, backlog: BACKLOG }, onListening);
      return;
    }
    if (where.kind === "tcp") {
      server.listen({ host: where.host, port: where.port, backlog: BACKLOG }, onListening);
      return;
    }
    // The socket is created before `listen` returns: nothing else runs under this mask.
    const umask = Deno.umask(0o177);
    try {
      server.listen({ path: where.path, backlog: BACKLOG }, onListening);
    } finally {
      Deno.umask(umask);
    }
  });
}

/**
 * Checks that a server can use the texts: the runtime accepts any, and fails each handshake later.
 *
 * @throws {CicdError} `invalid_config` if one is unreadable, the key belongs to another
 * certificate, or the certificate has expired; no message contains any of the key.
 */
export function assertTlsFits({ certificate, key }: TlsTexts, now: number): void {
  const leaf = parsed("listen.tls_certificate", () => new X509Certificate(certificate));
  const own = parsed("listen.tls_key", () => createPrivateKey(key));
  if (!leaf.checkPrivateKey(own)) {
    throw unusable(
      "the key (listen.tls_key) belongs to another certificate than the first in listen.tls_certificate",
    );
  }
  if (Date.parse(leaf.validTo) <= now) {
    throw unusable(`the certificate (listen.tls_certificate) expired on ${leaf.validTo}`);
  }
}

function parsed<T>(setting: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    throw unusable(`${setting} cannot be read: ${messageOf(error)}`, error);
  }
}

function unusable(why: string, cause?: unknown): CicdError {
  return new CicdError("invalid_config", `Cannot speak TLS: ${why}`, { cause });
}
