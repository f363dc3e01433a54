/**
 * Where a secret of the configuration comes from.
 *
 * `file:/path` is a file of mode 0600, `credential:NAME` one of systemd's
 * `LoadCredential=`, `env:NAME` a variable of the environment; anything else is
 * the secret itself. Only what the account's owner wrote may be resolved, never
 * what arrives in a request: a reference reads the account's files.
 *
 * @module
 */
import { CicdError } from "@lib/core/errors.ts";
import { readSmallFile } from "@lib/foundations/secrets/private_file.ts";
import { Secret } from "@lib/foundations/secrets/secret.ts";

/** Longest secret in a file, in bytes. */
const SECRET_FILE_MAX_BYTES = 64 * 1024;

/** Where a secret is to be found. */
export type SecretReference =
  | { readonly kind: "literal"; readonly value: Secret }
  | { readonly kind: "file"; readonly path: string }
  | { readonly kind: "credential"; readonly name: string }
  | { readonly kind: "env"; readonly name: string };

/** Options for {@linkcode parseSecretReference}. */
export interface ReferenceField {
  /** Path of the field that holds the reference, for messages: `api.key`. */
  readonly field: string;
}

/** Options for {@linkcode resolveSecret}. */
export interface ResolveSecretOptions extends ReferenceField {
  /** Reads a variable of the environment. */
  readonly env: (name: string) => string | undefined;
}

/**
 * Reads a reference; touches nothing.
 *
 * @throws {CicdError} `invalid_config` if it cannot be followed.
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
        throw invalid(field, "the name after credential: is not one of LoadCredential=");
      }
      return { kind, name: target };
    case "env":
      if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(target)) {
        throw invalid(field, "the name after env: is not a variable's name");
      }
      return { kind, name: target };
    default:
      return { kind: "literal", value: new Secret(text) };
  }
}

/**
 * Follows a reference to its secret.
 *
 * A trailing line break of a file or credential is not part of the secret.
 *
 * @throws {CicdError} `invalid_config` if there is no secret where it points, or
 * it lies open to others; `io_failed` if it cannot be read. No message holds the
 * secret.
 */
export function resolveSecret(text: string, options: ResolveSecretOptions): Secret {
  const { field, env } = options;
  const reference = parseSecretReference(text, options);
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
      return readSecret(reference.path, { field, mustBePrivate: true });
    case "credential": {
      const directory = env("CREDENTIALS_DIRECTORY");
      if (directory === undefined || directory === "") {
        throw invalid(
          field,
          `there are no credentials here; set LoadCredential=${reference.name}:/path in the unit`,
        );
      }
      // systemd guards this directory by itself; its files may be 0440.
      return readSecret(`${directory}/${reference.name}`, { field, mustBePrivate: false });
    }
  }
}

function readSecret(
  path: string,
  { field, mustBePrivate }: ReferenceField & { readonly mustBePrivate: boolean },
): Secret {
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
