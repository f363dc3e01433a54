/**
 * Reads the variables of a `.envrc` without running it.
 *
 * Gryt's agent is configured by a file of `export NAME="value"` lines, meant to
 * be sourced by a shell. A shell would run any command in it; this module reads
 * assignments and refuses everything else.
 *
 * @module
 */
import { CicdError } from "@lib/core/errors.ts";
import { readSmallFile } from "@lib/foundations/secrets/private_file.ts";

/** Longest file, in bytes. */
const MAX_BYTES = 256 * 1024;

/** Options for {@linkcode parseEnvrc}. */
export interface EnvrcOptions {
  /** Path of the file, for messages. */
  readonly path: string;
  /** Selects the variables to read; the values of others are skipped. */
  readonly wanted: (name: string) => boolean;
}

/**
 * Reads a file that only its owner can read.
 *
 * @throws {CicdError} `invalid_config` if it does not exist, is readable by others, or cannot be
 * parsed; `io_failed` if it cannot be read. No message quotes a value.
 */
export function readEnvrc(options: EnvrcOptions): ReadonlyMap<string, string> {
  const { path } = options;
  const bytes = readSmallFile(path, {
    what: "variables",
    maxBytes: MAX_BYTES,
    mustBePrivate: true,
  });
  if (bytes === undefined) {
    throw new CicdError("invalid_config", `Cannot read variables from "${path}": no such file`);
  }
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    const message = `Cannot read variables from "${path}": it is not UTF-8`;
    throw new CicdError("invalid_config", message, { cause });
  }
  return parseEnvrc(text, options);
}

/**
 * Parses the text of a file. The last value of a variable counts, as in a shell.
 *
 * @throws {CicdError} `invalid_config` with the number of the line at fault.
 */
export function parseEnvrc(
  text: string,
  { path, wanted }: EnvrcOptions,
): ReadonlyMap<string, string> {
  const variables = new Map<string, string>();
  for (const [index, line] of text.replace(/^\uFEFF/, "").split(/\r?\n/).entries()) {
    if (/^\s*(#|$)/.test(line)) continue;
    const where = `${path}:${index + 1}`;
    const match = /^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)=(.*)$/.exec(line);
    if (match === null) {
      throw refused(where, 'it is not of the form export NAME="value"; nothing else is run');
    }
    const [, name = "", rest = ""] = match;
    if (!wanted(name)) continue;
    const value = readValue(rest);
    if (value.kind === "refused") throw refused(where, `the value of ${name} ${value.why}`);
    variables.set(name, value.text);
  }
  return variables;
}

type Refused = { readonly kind: "refused"; readonly why: string };
type Value = { readonly kind: "read"; readonly text: string } | Refused;

/** Reads a shell word: quoted and plain parts, up to white space. */
function readValue(rest: string): Value {
  let text = "";
  let at = 0;
  while (at < rest.length) {
    const char = rest[at] ?? "";
    if (char === "'") {
      const end = rest.indexOf("'", at + 1);
      if (end < 0) return unclosed;
      text += rest.slice(at + 1, end);
      at = end + 1;
    } else if (char === '"') {
      const part = readDoubleQuoted(rest, at + 1);
      if (part.kind === "refused") return part;
      text += part.text;
      at = part.end;
    } else if (/\s/.test(char)) {
      return /^\s*(#.*)?$/.test(rest.slice(at))
        ? { kind: "read", text }
        : { kind: "refused", why: "is followed by more; put quotes around it" };
    } else if (char === "\\") {
      if (at + 1 === rest.length) return { kind: "refused", why: "continues in the next line" };
      text += rest[at + 1] ?? "";
      at += 2;
    } else if (/[`;&|<>()]/.test(char)) {
      return { kind: "refused", why: `contains '${char}', which a shell would act on; quote it` };
    } else if (isExpansion(rest, at)) {
      return expansion;
    } else {
      text += char;
      at++;
    }
  }
  return { kind: "read", text };
}

function readDoubleQuoted(
  rest: string,
  from: number,
): { readonly kind: "read"; readonly text: string; readonly end: number } | Refused {
  let text = "";
  let at = from;
  while (at < rest.length) {
    const char = rest[at] ?? "";
    if (char === '"') return { kind: "read", text, end: at + 1 };
    if (char === "`" || isExpansion(rest, at)) return expansion;
    if (char === "\\" && /["\\$`]/.test(rest[at + 1] ?? "")) {
      text += rest[at + 1] ?? "";
      at += 2;
    } else {
      text += char;
      at++;
    }
  }
  return unclosed;
}

function isExpansion(rest: string, at: number): boolean {
  return rest[at] === "$" && /[A-Za-z0-9_{(*@#?!$'"-]/.test(rest[at + 1] ?? "");
}

const unclosed: Refused = { kind: "refused", why: "has a quote that is not closed in its line" };
const expansion: Refused = {
  kind: "refused",
  why: "contains a '$' or '`' that a shell would act on; put it in single quotes",
};

function refused(where: string, why: string): CicdError {
  return new CicdError("invalid_config", `Cannot read ${where}: ${why}`, {
    issues: [{ path: where, message: why }],
  });
}
