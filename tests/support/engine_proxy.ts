/**
 * A socket before that of a container engine: it counts, and holds removals back if told to.
 *
 * @module
 */
import { ignore } from "@lib/core/errors.ts";

/** A socket before an engine's. */
export interface EngineProxy extends Disposable {
  /** For `containers.host` and `DOCKER_HOST`. */
  readonly host: string;
  /** Bytes of the engine's answers so far. */
  readonly answeredBytes: number;
  /** Resolves when somebody wants a container to be removed. */
  readonly asked: Promise<void>;
  /** Lets the removals of now and later go on. */
  release(): void;
}

/** Listens before the engine of a socket. */
export function proxyEngine(socket: string, { holdsRemovals = false } = {}): EngineProxy {
  const directory = Deno.makeTempDirSync({ prefix: "cicd-slow-removal-" });
  const path = `${directory}/docker.sock`;
  const listener = Deno.listen({ transport: "unix", path });
  const asked = Promise.withResolvers<void>();
  const released = Promise.withResolvers<void>();
  if (!holdsRemovals) released.resolve();
  let answeredBytes = 0;
  const open = new Set<Deno.Conn>();
  const serve = async (client: Deno.Conn): Promise<void> => {
    const engine = await Deno.connect({ transport: "unix", path: socket });
    for (const connection of [client, engine]) open.add(connection);
    const requests = client.readable.pipeThrough(
      new TransformStream<Uint8Array, Uint8Array>({
        async transform(chunk, controller) {
          // The client sends a request only after the answer to the one before.
          if (new TextDecoder().decode(chunk.subarray(0, 19)) === "DELETE /containers/") {
            asked.resolve();
            await released.promise;
          }
          controller.enqueue(chunk);
        },
      }),
    );
    const answers = engine.readable.pipeThrough(
      new TransformStream<Uint8Array, Uint8Array>({
        transform(chunk, controller) {
          answeredBytes += chunk.length;
          controller.enqueue(chunk);
        },
      }),
    );
    await Promise.all([requests.pipeTo(engine.writable), answers.pipeTo(client.writable)]);
  };
  const accept = async (): Promise<void> => {
    for await (const client of listener) void serve(client).catch(ignore("either side went away"));
  };
  const accepting = accept();
  void accepting.catch(ignore("the listener was closed"));
  return {
    host: `unix://${path}`,
    get answeredBytes() {
      return answeredBytes;
    },
    asked: asked.promise,
    release: () => released.resolve(),
    [Symbol.dispose]() {
      released.resolve();
      listener.close();
      for (const connection of open) {
        try {
          connection.close();
        } catch (error) {
          // The end of a stream closes it too.
          if (!(error instanceof Deno.errors.BadResource)) throw error;
        }
      }
      Deno.removeSync(directory, { recursive: true });
    },
  };
}
