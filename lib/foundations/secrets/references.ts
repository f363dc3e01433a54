/**
 * References to secrets in the configuration.
 *
 * `file:/path` is a file of mode 0600, `credential:NAME` one of systemd's `LoadCredential=`,
 * `env:NAME` an environment variable; anything else is the secret itself. Resolve only references
 * that the account's owner wrote, never those of a request: a reference reads the account's files.
 *
 * @module
 */
import { CicdError } from "@lib/core/errors.ts";
import { readSmallFile } from "@lib/foundations/secrets/private_file.ts";
import { Secret } from "@lib/foundations/secrets/secret.ts";

/** Longest secret in a file, in bytes. */
const SECRET_FILE_MAX_BYTES = 64 * 1024;

/** The source of a secret. */
type SecretReference =
  | { readonly kind: "literal"; readonly value: Secret }
  | { readonly kind: "file"; readonly path: string }
  | { readonly kind: "credential"; readonly name: string }
  | { readonly kind: "env"; readonly name: string };

interface ReferenceField {
  /** Path of the field that holds the reference, for messages: `api.key`. */
  readonly field: string;
}

/**
 * Parses a reference without following it.
 *
 * @throws {CicdError} `invalid_config` if it is malformed.
 */
export function parseSecretReference(text: string, { field }: ReferenceField): SecretReference {
  const [, kind, target = ""] = /^(file|credential|env):(.*)$/s.exec(text) ?? [];
  switch (kind) {
    case "file":
      if (!target.startsWith("/")) {
        throw invalid(field, "the path after file: is not absolute; begin it with a slash");
      }
      return { kind, path: target };
    case "credential":
      if (!/^(?!\.)[A-Za-z0-9._-]+$/.test(target)) {
        throw invalid(field, "the name after credential: is not a valid name of LoadCredential=");
      }
      return { kind, name: target };
    case "env":
      if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(target)) {
        throw invalid(field, "the name after env: is not a variable name");
      }
      return { kind, name: target };
    default:
      return { kind: "literal", value: new Secret(text) };
  }
}

/**
 * Resolves a reference to its secret.
 *
 * A trailing line break of a file or credential is not part of the secret.
 *
 * @param options.env Reads an environment variable.
 * @throws {CicdError} `invalid_config` if there is no secret, or others may read it; `io_failed` if
 * it cannot be read. No message contains the secret.
 */
export function resolveSecret(
  text: string,
  { field, env }: ReferenceField & { readonly env: (name: string) => string | undefined },
): Secret {
  const reference = parseSecretReference(text, { field });
  switch (reference.kind) {
    case "literal":
      if (text === "") throw invalid(field, "it is empty");
      return reference.value;
    case "env": {
      const value = env(reference.name);
      if (value === undefined || value === "") {
        throw invalid(field, `the variable ${reference.name} is not set`);
      }
      return new Secret(value);
    }
    case "file":
      return readSecret(reference.path, field, true);
    case "credential": {
      const directory = env("CREDENTIALS_DIRECTORY");
      if (directory === undefined || directory === "") {
        const remedy = `set LoadCredential=${reference.name}:/path in the unit`;
        throw invalid(field, `the unit has no credentials; ${remedy}`);
      }
      // systemd protects this directory itself; its files may be 0440.
      return readSecret(`${directory}/${reference.name}`, field, false);
    }
  }
}

function readSecret(path: string, field: string, mustBePrivate: boolean): Secret {
  const bytes = readSmallFile(path, {
    what: `the secret of "${field}"`,
    maxBytes: SECRET_FILE_MAX_BYTES,
    mustBePrivate,
  });
  if (bytes === undefined) throw invalid(field, `there is no file "${path}"`);
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw invalid(field, `"${path}" is not UTF-8 text`, cause);
  }
  const value = text.replace(/\r?\n$/, "");
  if (value === "") throw invalid(field, `"${path}" is empty`);
  return new Secret(value);
}

function invalid(field: string, problem: string, cause?: unknown): CicdError {
  return new CicdError("invalid_config", `Cannot resolve the secret of "${field}": ${problem}`, {
    issues: [{ path: field, message: problem }],
    cause,
  });
}
