/**
 * Loads the client library, which takes a tenth of a second and 25 MB: not before it is needed.
 *
 * @module
 */
import { Agent as HttpAgent } from "node:http";
import { Agent as HttpsAgent } from "node:https";
// @ts-types="./dockerode.d.ts"
import type Docker from "dockerode";
import { EngineError } from "@lib/foundations/docker/engine_error.ts";
import type { EngineAddress } from "@lib/foundations/docker/find_engine.ts";

/** A client, and the connections it keeps. */
export interface LoadedClient {
  readonly client: Docker;
  readonly agent: HttpAgent;
}

/**
 * Loads the client for an engine; nothing is asked of the engine yet.
 *
 * @throws {EngineError} `engine_unavailable` if the files for its TLS cannot be read.
 */
export async function loadClient(address: EngineAddress): Promise<LoadedClient> {
  // Bundled, a dependency of the client finds no name of its file.
  if (!("__dirname" in globalThis)) {
    Object.assign(globalThis, { __dirname: import.meta.dirname ?? "/" });
  }
  // @ts-types="./dockerode.d.ts"
  const { default: Client } = await import("dockerode");
  const secure = address.kind === "tcp" && address.tlsDirectory !== undefined;
  const agent = quiet(
    new (secure ? HttpsAgent : HttpAgent)({ keepAlive: true, maxFreeSockets: 8, timeout: 0 }),
  );
  const options: Docker.DockerOptions & { agent: HttpAgent } = { ...clientOptions(address), agent };
  return { client: new Client(options), agent };
}

function clientOptions(address: EngineAddress): Docker.DockerOptions {
  if (address.kind === "unix") return { socketPath: address.path };
  const { host, port, tlsDirectory } = address;
  if (tlsDirectory === undefined) return { host, port, protocol: "http" };
  const [ca, cert, key] = ["ca.pem", "cert.pem", "key.pem"].map((name) =>
    readPem(`${tlsDirectory}/${name}`)
  );
  return { host, port, protocol: "https", ca, cert, key };
}

function readPem(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch (error) {
    throw new EngineError(
      "engine_unavailable",
      `Cannot read "${path}" for the container engine's TLS`,
      { cause: error },
    );
  }
}

/** The client makes a text of its options for each request, for a log that is off. */
function quiet<A extends object>(agent: A): A {
  return Object.assign(agent, {
    [Symbol.for("nodejs.util.inspect.custom")]: () => "Agent",
  });
}
