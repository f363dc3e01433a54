/**
 * A runner with Gryt's API, and an engine that can do nothing for it.
 *
 * @module
 */
import { createServer, type Server } from "node:http";
import { GrytClient } from "./gryt_client.ts";
import { RunnerBench } from "./runner_process.ts";

/** The key of {@linkcode startRunner}. */
export const API_KEY = "the-pre-shared-key";

/** A runner whose Gryt key lies in a file, as the documentation says. */
export async function startRunner(
  { gryt = "", engine = "/nowhere/docker.sock", args = [] }: {
    readonly gryt?: string;
    /** Further flags of the daemon. */
    readonly args?: readonly string[];
    readonly engine?: string;
  } = {},
) {
  const keys = await Deno.makeTempDir({ prefix: "gryt-" });
  await Deno.writeTextFile(`${keys}/key`, `${API_KEY}\n`, { mode: 0o600 });
  const bench = new RunnerBench({
    config: `containers:\n  host: unix://${engine}\ngryt:\n  api_key: file:${keys}/key\n${gryt}`,
  });
  await bench.start(args);
  const ask = (...question: Parameters<RunnerBench["ask"]>) => bench.ask(...question);
  return {
    bench,
    ask,
    client: new GrytClient(ask, API_KEY),
    withoutKey: new GrytClient(ask),
    withWrongKey: new GrytClient(ask, `${API_KEY}s`),
    async [Symbol.asyncDispose]() {
      await bench[Symbol.asyncDispose]();
      await Deno.remove(keys, { recursive: true });
    },
  };
}

/**
 * An engine that lives, but cannot do anything: every job fails at its image.
 *
 * @param until What it waits for before it says so.
 */
export async function startEmptyEngine(until: Promise<void> = Promise.resolve()) {
  const directory = await Deno.makeTempDir({ prefix: "engine-" });
  const path = `${directory}/docker.sock`;
  const asked = Promise.withResolvers<void>();
  const server: Server = createServer((incoming, outgoing) => {
    incoming.resume();
    const isPing = incoming.url?.endsWith("/_ping") === true;
    const answer = () => {
      outgoing.writeHead(isPing ? 200 : 500, { "content-type": "application/json" });
      outgoing.end(isPing ? "OK" : '{"message":"this engine has nothing"}');
    };
    if (isPing) return answer();
    asked.resolve();
    void until.then(answer);
  });
  const listening = Promise.withResolvers<void>();
  server.listen(path, () => listening.resolve());
  await listening.promise;
  return {
    path,
    /** Resolves when it has been asked for more than a sign of life. */
    asked: asked.promise,
    async [Symbol.asyncDispose]() {
      const closed = Promise.withResolvers<void>();
      server.close(() => closed.resolve());
      server.closeAllConnections();
      await closed.promise;
      await Deno.remove(directory, { recursive: true });
    },
  };
}

/** A port that was free a moment ago. */
export function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}
