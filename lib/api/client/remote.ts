/**
 * Talking to a runner on another machine.
 *
 * @module
 */
import { CicdError } from "@lib/core/errors.ts";
import { RunnerTransport } from "@lib/api/client/transport.ts";
import { openRemoteClient } from "@lib/foundations/http/remote_client.ts";
import { readSmallFile } from "@lib/foundations/secrets/private_file.ts";
import { resolveSecret } from "@lib/foundations/secrets/references.ts";

const PEM_MAX_BYTES = 1024 * 1024;

/**
 * Opens the way to the runner at `url`.
 *
 * `CICD_API_KEY` is the key or `file:/path` of it; `CICD_CA_FILE` names the PEM file of an
 * authority to trust.
 *
 * @throws {CicdError} `usage` or `invalid_config` if one of these is no good.
 */
export async function openRemote(
  url: string,
  env: Readonly<Record<string, string>>,
): Promise<RunnerTransport> {
  const reference = env["CICD_API_KEY"] ?? "";
  if (reference === "") {
    throw new CicdError(
      "usage",
      "Cannot ask a remote runner without a key: set CICD_API_KEY to it, or to file:/path of it",
    );
  }
  const field = "CICD_API_KEY";
  const key = resolveSecret(reference, { field, env: (name) => env[name] }).expose().trim();
  if (!/^[\x21-\x7e]{1,512}$/.test(key)) {
    throw new CicdError("usage", "Cannot use CICD_API_KEY: it holds more than a key");
  }
  const authority = readAuthority(env["CICD_CA_FILE"]);
  const sender = await openRemoteClient({ url, key, authority });
  return new RunnerTransport({ sender, socketPath: url, isRemote: true });
}

function readAuthority(path: string | undefined): string | undefined {
  if (path === undefined || path === "") return undefined;
  const what = "CICD_CA_FILE";
  const bytes = readSmallFile(path, { what, maxBytes: PEM_MAX_BYTES, mustBePrivate: false });
  if (bytes !== undefined) return new TextDecoder().decode(bytes);
  throw new CicdError("usage", `Cannot read ${what}: there is no file "${path}"`);
}
