/**
 * The context of a command of this process, by the flags, the environment and the configuration.
 *
 * @module
 */
import { CicdError } from "@lib/core/errors.ts";
import {
  type CliContext,
  type GlobalFlags,
  makeContext,
  remoteUrl,
} from "@lib/api/client/context.ts";
import { RunnerTransport } from "@lib/api/client/transport.ts";
import { SocketClient } from "@lib/foundations/http/socket_client.ts";

/** Makes the context of this process. */
export function openContext(
  flags: GlobalFlags,
  { sections, signal }: Pick<CliContext, "sections" | "signal">,
): CliContext {
  const env = Deno.env.toObject();
  const readConfigHere = async () => {
    const { readConfig } = await import("@lib/foundations/config/read.ts");
    const { resolve } = await import("node:path");
    return await readConfig({
      sections: await sections(),
      env,
      signal,
      ...(flags.config === undefined ? {} : { path: flags.config }),
      ...(flags.socket === undefined
        ? {}
        : { flags: new Map([["socket", resolve(flags.socket)]]) }),
    });
  };
  const configuredSocket = async () => {
    const { PROGRAM } = await import("@lib/foundations/config/program_keys.ts");
    return (await readConfigHere()).config.of(PROGRAM).socket;
  };
  const connect = async () => {
    const url = remoteUrl(flags, env);
    if (url !== undefined) return await openRemote(url, env);
    const socketPath = await namedSocket(flags, env) ?? await configuredSocket();
    return new RunnerTransport({ sender: new SocketClient(socketPath), socketPath });
  };
  return makeContext(flags, { env, sections, signal, readConfig: readConfigHere, connect });
}

async function namedSocket(
  { socket, config }: GlobalFlags,
  env: Readonly<Record<string, string>>,
): Promise<string | undefined> {
  if (socket !== undefined) return (await import("node:path")).resolve(socket);
  const named = env["CICD_SOCKET"];
  return config === undefined && named?.startsWith("/") ? named : undefined;
}

const PEM_MAX_BYTES = 1024 * 1024;

/**
 * Opens the connection to the runner at `url`.
 *
 * `CICD_API_KEY` is the key or `file:/path` of it; `CICD_CA_FILE` names the PEM file of an
 * authority to trust.
 *
 * @throws {CicdError} `usage` or `invalid_config` if one of these is invalid.
 */
async function openRemote(
  url: string,
  env: Readonly<Record<string, string>>,
): Promise<RunnerTransport> {
  const field = "CICD_API_KEY";
  const reference = env[field] ?? "";
  if (reference === "") {
    throw new CicdError(
      "usage",
      "Cannot reach a remote runner without a key: set CICD_API_KEY to it, or to file:/path of it",
    );
  }
  const { openRemoteClient } = await import("@lib/foundations/http/remote_client.ts");
  const { readSmallFile } = await import("@lib/foundations/secrets/private_file.ts");
  const { resolveSecret } = await import("@lib/foundations/secrets/references.ts");
  const key = resolveSecret(reference, { field, env: (name) => env[name] }).expose().trim();
  if (!/^[\x21-\x7e]{1,512}$/.test(key)) {
    throw new CicdError("usage", "Cannot use CICD_API_KEY: it contains more than a key");
  }
  const what = "CICD_CA_FILE";
  const path = env[what] ?? "";
  const limits = { what, maxBytes: PEM_MAX_BYTES, mustBePrivate: false };
  const authority = path === "" ? undefined : readSmallFile(path, limits);
  if (path !== "" && authority === undefined) {
    throw new CicdError("usage", `Cannot read ${what}: there is no file "${path}"`);
  }
  const sender = await openRemoteClient({
    url,
    key,
    authority: authority && new TextDecoder().decode(authority),
  });
  return new RunnerTransport({ sender, socketPath: url, isRemote: true });
}
