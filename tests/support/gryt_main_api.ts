/**
 * The other side of callbacks and of pulled jobs, on loopback.
 *
 * @module
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";

/** A request that arrived. */
export interface Arrived {
  readonly path: string;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly body: string;
}

/** A main API. */
export interface GrytMainApi extends AsyncDisposable {
  readonly url: string;
  readonly arrived: Arrived[];
  /** Jobs that the next claims get. */
  readonly jobs: unknown[];
  /** The status that a result or callback gets. */
  status: number;
  /** Waits until so many requests for a path have arrived. */
  count(path: string, wanted: number): Promise<readonly Arrived[]>;
}

/** Starts a main API. */
export async function startMainApi(): Promise<GrytMainApi> {
  const arrived: Arrived[] = [];
  const jobs: unknown[] = [];
  let changed = Promise.withResolvers<void>();
  const answer = async (incoming: IncomingMessage, outgoing: ServerResponse) => {
    let body = "";
    for await (const chunk of incoming.setEncoding("utf8")) body += String(chunk);
    const path = incoming.url ?? "";
    arrived.push({ path, headers: incoming.headers, body });
    if (path === "/agents/claim") {
      const job = jobs.shift();
      outgoing.writeHead(job === undefined ? 204 : 200, { "content-type": "application/json" });
      outgoing.end(job === undefined ? undefined : JSON.stringify(job));
    } else {
      outgoing.writeHead(api.status);
      outgoing.end();
    }
    changed.resolve();
    changed = Promise.withResolvers();
  };
  const server = createServer((incoming, outgoing) => void answer(incoming, outgoing));
  const listening = Promise.withResolvers<void>();
  server.listen(0, "127.0.0.1", () => listening.resolve());
  await listening.promise;
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  const api: GrytMainApi = {
    url: `http://127.0.0.1:${port}`,
    arrived,
    jobs,
    status: 200,
    async count(path, wanted) {
      for (;;) {
        const found = arrived.filter((one) => one.path === path);
        if (found.length >= wanted) return found;
        await changed.promise;
      }
    },
    async [Symbol.asyncDispose]() {
      const closed = Promise.withResolvers<void>();
      server.close(() => closed.resolve());
      server.closeAllConnections();
      await closed.promise;
    },
  };
  return api;
}
