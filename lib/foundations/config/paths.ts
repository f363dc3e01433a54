/**
 * Paths in the configuration file. Only `~/` and the XDG variables are expanded: a
 * path in a configuration file is not a program.
 *
 * @module
 */
import { didYouMean } from "@lib/core/nearest.ts";

/** The directories that paths are expanded with. */
export interface Places {
  /** The home directory, if there is one. */
  readonly home: string | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** A usable path, or its problem. */
export type ExpandedPath =
  | { readonly kind: "path"; readonly path: string }
  | { readonly kind: "problem"; readonly message: string };

/** The variables that are expanded, with their defaults below the home directory. */
const VARIABLES: ReadonlyMap<string, string | undefined> = new Map([
  ["HOME", undefined],
  ["XDG_RUNTIME_DIR", undefined],
  ["XDG_STATE_HOME", ".local/state"],
  ["XDG_CONFIG_HOME", ".config"],
  ["XDG_DATA_HOME", ".local/share"],
  ["XDG_CACHE_HOME", ".cache"],
]);

/**
 * Expands `~/`, `$NAME` and `${NAME}` at the front of `text`, and normalizes the
 * result, which is absolute; of kind `any`, a relative path is left unchanged.
 */
export function resolvePath(text: string, kind: "absolute" | "any", places: Places): ExpandedPath {
  const isRelative = kind === "any" && !/^[~$%/]/.test(text);
  const expanded = isRelative ? { kind: "path", path: text } as const : expandFront(text, places);
  if (expanded.kind === "problem") return expanded;
  const { path } = expanded;
  if (!isRelative && !path.startsWith("/")) {
    return problem(
      text.startsWith("%")
        ? `is "${text}"; systemd's specifiers are not expanded here, write ~/ or $XDG_RUNTIME_DIR`
        : `is "${text}"; give an absolute path, or one that begins with ~/ or $XDG_RUNTIME_DIR`,
    );
  }
  if (/\p{Cc}/u.test(path)) return problem("contains a control character");
  const segments = path.split("/").filter((segment) => segment !== "" && segment !== ".");
  if (segments.includes("..")) return problem(`is "${text}"; '..' is not allowed`);
  return { kind: "path", path: isRelative ? text : `/${segments.join("/")}` };
}

/** Returns the directory of a variable of the XDG base directory specification. */
export function placeOf(name: string, places: Places): string | undefined {
  if (name === "HOME") return places.home;
  const value = places.env[name];
  if (value !== undefined && value.startsWith("/")) return value;
  const below = VARIABLES.get(name);
  return below === undefined || places.home === undefined ? undefined : `${places.home}/${below}`;
}

function expandFront(text: string, places: Places): ExpandedPath {
  if (text === "~" || text.startsWith("~/")) return join("HOME", text.slice(1), places);
  if (text.startsWith("~")) return problem(`is "${text}"; only ~/ is expanded, not ~user`);
  if (!text.includes("$")) return { kind: "path", path: text };
  const match = /^\$(?:([A-Z_]+)|\{([A-Z_]+)\})(\/[^$]*)?$/.exec(text);
  const name = match?.[1] ?? match?.[2];
  if (name === undefined) {
    return problem(`is "${text}"; a variable may stand only at the front, followed by /`);
  }
  if (!VARIABLES.has(name)) {
    const known = [...VARIABLES.keys()];
    return problem(
      `names $${name}; only ${known.map((each) => `$${each}`).join(", ")} are expanded` +
        didYouMean(name, known),
    );
  }
  return join(name, match?.[3] ?? "", places);
}

function join(name: string, rest: string, places: Places): ExpandedPath {
  const place = placeOf(name, places);
  return place === undefined
    ? problem(`needs $${name}, which is not set; set it or give an absolute path`)
    : { kind: "path", path: place + rest };
}

function problem(message: string): ExpandedPath {
  return { kind: "problem", message };
}
