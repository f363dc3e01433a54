/**
 * HTTP requests to a runner on another machine.
 *
 * @module
 */
import { Agent, request as httpRequest } from "node:http";
import { CicdError } from "@lib/core/errors.ts";
import { isLoopback } from "@lib/foundations/http/listen_address.ts";
import {
  exchange,
  type UnixRequest,
  type UnixResponse,
} from "@lib/foundations/http/unix_client.ts";

/** Options for {@linkcode openRemoteClient}. */
export interface RemoteClientOptions {
  /** `https://host:port`; `http://` on loopback only. */
  readonly url: string;
  /** Sent with every request. */
  readonly key: string;
  /** PEM text of an authority to trust, besides the system's. */
  readonly authority: string | undefined;
}

/** Silence after which the other side is probed. */
const KEEP_ALIVE_MS = 30_000;

/** Sends requests to one address, over persistent connections. */
export interface RemoteClient extends Disposable {
  /** @throws As `UnixClient.send` does. */
  send(request: UnixRequest): Promise<UnixResponse>;
  /** Where it sends to, for a WebSocket. */
  readonly target: {
    readonly at: { readonly origin: string };
    readonly headers: Readonly<Record<string, string>>;
    readonly authority?: string;
  };
}

/**
 * Makes a client, which connects when it is used.
 *
 * @throws {CicdError} `usage` if the address is invalid, or the key would cross a network
 * unencrypted.
 */
export async function openRemoteClient(options: RemoteClientOptions): Promise<RemoteClient> {
  const { key, authority: ca } = options;
  const { origin, protocol, host, hostname, port } = parseUrl(options.url);
  const settings = { keepAlive: true, maxFreeSockets: 4, timeout: 0 };
  // Loaded only if needed.
  const secure = protocol === "https:" ? await import("node:https") : undefined;
  const agent = secure === undefined
    ? new Agent(settings)
    : new secure.Agent({ ...settings, ...(ca === undefined ? {} : { ca }) });
  const target = {
    agent,
    hostname: hostname.replace(/^\[|\]$/g, ""),
    port: Number(port || (secure === undefined ? 80 : 443)),
  };
  const open = secure === undefined ? httpRequest : secure.request;
  return {
    target: {
      at: { origin },
      headers: { authorization: `Bearer ${key}` },
      ...(ca === undefined ? {} : { authority: ca }),
    },
    send: (request) => {
      const headers = { ...request.headers, host, authorization: `Bearer ${key}` };
      return exchange({ ...request, headers }, origin, (one) => {
        const sent = open({ ...target, ...one });
        // A followed log may be silent for hours: only this notices a network that is lost.
        sent.once("socket", (socket) => socket.setKeepAlive(true, KEEP_ALIVE_MS));
        return sent;
      });
    },
    [Symbol.dispose]: () => agent.destroy(),
  };
}

function parseUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const isPlain = url?.pathname === "/" && url.search === "" && url.hash === "" &&
    url.username === "" && url.password === "";
  if (url === undefined || !isPlain || !/^https?:$/.test(url.protocol)) {
    throw new CicdError("usage", "Cannot use the runner's address: give it as https://host:port");
  }
  if (url.protocol === "http:" && !isLoopback(url.hostname.replace(/^\[|\]$/g, ""))) {
    throw new CicdError(
      "usage",
      `Cannot use "${url.origin}": the key would cross the network unencrypted; use https://`,
    );
  }
  return url;
}
