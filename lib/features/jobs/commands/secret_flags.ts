/**
 * Secrets on the command line: where they are, never what they are.
 *
 * @module
 */
import { resolve } from "node:path";
import { CicdError } from "@lib/core/errors.ts";
import { parseSecretReference, resolveSecret } from "@lib/foundations/secrets/references.ts";

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
    const told = { flag: `--secret ${name}`, before: `--secret ${name}=` };
    secrets.push([name, await readSecretSource(flag.slice(equals + 1), told, ports)]);
  }
  return Object.fromEntries(secrets);
}

/** How a flag is told in messages. */
export interface SecretFlag {
  /** Such as `--secret NAME`. */
  readonly flag: string;
  /** What stands before the source: `--secret NAME=`. */
  readonly before: string;
}

/**
 * Reads `file:PATH`, `env:NAME`, `credential:NAME` or `-`.
 *
 * @throws {CicdError} `usage` if it is none of these; no message holds the value.
 */
export async function readSecretSource(
  source: string,
  { flag, before }: SecretFlag,
  ports: SecretPorts,
): Promise<string> {
  if (source === "-") {
    const value = (await ports.readStdin(flag)).replace(/\r?\n$/, "");
    if (value === "") throw usage(`standard input is empty, it was to hold the secret of ${flag}`);
    return value;
  }
  const reference = source.startsWith("file:")
    ? `file:${resolve(ports.cwd, source.slice("file:".length))}`
    : source;
  try {
    if (parseSecretReference(reference, { field: flag }).kind === "literal") {
      throw usage(
        `the value of ${flag} stands on the command line, where every process of this machine ` +
          `and the shell's history can read it; write ${before}file:PATH, ` +
          `${before}env:NAME, or ${before}- and give it on standard input`,
      );
    }
    return resolveSecret(reference, { field: flag, env: ports.env }).expose();
  } catch (error) {
    if (!(error instanceof CicdError) || error.code !== "invalid_config") throw error;
    throw new CicdError("usage", error.message, { cause: error });
  }
}

function usage(problem: string): CicdError {
  return new CicdError("usage", `Cannot take the secret: ${problem}`);
}
