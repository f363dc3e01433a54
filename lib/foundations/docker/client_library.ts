/**
 * The client library, for the calls of an engine that are rare.
 *
 * @module
 */
import { Agent as HttpAgent } from "node:http";
// @ts-types="./dockerode.d.ts"
import type Docker from "dockerode";
import { EngineError } from "@lib/foundations/docker/engine_error.ts";
import type { EngineAddress } from "@lib/foundations/docker/find_engine.ts";

/** The loaded library; the agent keeps its connections. */
export interface Client {
  readonly docker: Docker;
  readonly agent: HttpAgent;
}

/** Loads the client library, which takes a tenth of a second and 25 MB. */
export async function openClient(options: ClientOptions): Promise<Client> {
  // In a bundle, a dependency of the client has no `__dirname`.
  if (!("__dirname" in globalThis)) {
    Object.assign(globalThis, { __dirname: import.meta.dirname ?? "/" });
  }
  // @ts-types="./dockerode.d.ts"
  const { default: Dockerode } = await import("dockerode");
  const AgentClass = options.protocol === "https" ? (await import("node:https")).Agent : HttpAgent;
  const agent = new AgentClass({ keepAlive: true, maxFreeSockets: 8, timeout: 0 });
  // The client formats its options for each request, for a log that is off.
  Object.assign(agent, { [Symbol.for("nodejs.util.inspect.custom")]: () => "Agent" });
  return { docker: new Dockerode({ ...options, agent }), agent };
}

/** How the library reaches an engine. */
export type ClientOptions = ReturnType<typeof clientOptions>;

/** @throws {EngineError} `engine_unavailable` if the files for its TLS cannot be read. */
export function clientOptions(address: EngineAddress) {
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
