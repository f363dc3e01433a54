/**
 * Secrets on the command line: where they are, never what they are.
 *
 * @module
 */
import { resolve } from "node:path";
import { CicdError } from "@lib/core/errors.ts";
import { parseSecretReference, resolveSecret } from "@lib/secrets/references.ts";

/** What secrets are read with. */
export interface SecretPorts {
  readonly cwd: string;
  readonly env: (name: string) => string | undefined;
  /** Reads standard input to its end; a second reader is refused. */
  readonly readStdin: (what: string) => Promise<string>;
}

/**
 * Reads `NAME=file:PATH`, `NAME=env:NAME`, `NAME=credential:NAME` or `NAME=-`.
 *
 * @throws {CicdError} `usage` if it is none of these; no message holds the value.
 */
export async function readSecretFlags(
  flags: readonly string[],
  ports: SecretPorts,
): Promise<Readonly<Record<string, string>>> {
  const secrets: [string, string][] = [];
  for (const flag of flags) {
    const equals = flag.indexOf("=");
    if (equals <= 0) {
      throw usage(
        "write --secret NAME=SOURCE, where SOURCE is file:PATH, env:NAME, or - for standard input",
      );
    }
    const name = flag.slice(0, equals);
    secrets.push([name, await readSource(name, flag.slice(equals + 1), ports)]);
  }
  return Object.fromEntries(secrets);
}

async function readSource(name: string, source: string, ports: SecretPorts): Promise<string> {
  const field = `--secret ${name}`;
  if (source === "-") {
    const value = (await ports.readStdin(field)).replace(/\r?\n$/, "");
    if (value === "") throw usage(`standard input is empty, it was to hold the secret ${name}`);
    return value;
  }
  const reference = source.startsWith("file:")
    ? `file:${resolve(ports.cwd, source.slice("file:".length))}`
    : source;
  try {
    if (parseSecretReference(reference, { field }).kind === "literal") {
      throw usage(
        `the value of ${name} stands on the command line, where every process of this machine ` +
          `and the shell's history can read it; write --secret ${name}=file:PATH, ` +
          `--secret ${name}=env:NAME, or --secret ${name}=- and give it on standard input`,
      );
    }
    return resolveSecret(reference, { field, env: ports.env }).expose();
  } catch (error) {
    if (!(error instanceof CicdError) || error.code !== "invalid_config") throw error;
    throw new CicdError("usage", error.message, { cause: error });
  }
}

function usage(problem: string): CicdError {
  return new CicdError("usage", `Cannot take the secret: ${problem}`);
}
