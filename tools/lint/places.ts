/**
 * The place of a file in the project, and what it may use.
 *
 * The tables below are the architecture: the layer of each directory, and the owner of
 * each package and restricted call.
 *
 * @module
 */

/** The layers from the top down: `cmd/`, then the directories of `lib/`. */
const LAYERS = ["cmd", "features", "api", "spine", "foundations", "core"] as const;

/**
 * The order within a layer, from the top down, by the directories in it.
 *
 * A directory may import those of later rows, not of its own row. Unnamed directories are together
 * in the last row.
 */
const ORDER: Readonly<Record<string, readonly (readonly string[])[]>> = {
  spine: [
    ["agent_link"],
    ["queue", "attempts", "executors", "logs"],
    ["jobs"],
    ["spec"],
  ],
};

/**
 * Path prefixes of the files that may use a package, module or call.
 *
 * A package includes its subpaths. Unlisted `node:` modules and calls of Deno are allowed
 * everywhere, unlisted packages nowhere.
 */
const OWNERS: Readonly<Record<string, readonly string[]>> = {
  "@xterm/addon-serialize": ["lib/foundations/terminal/"],
  "@xterm/headless": ["lib/foundations/terminal/"],
  "aws4fetch": ["lib/features/artifacts/"],
  "dockerode": ["lib/foundations/docker/"],
  "ws": ["lib/foundations/http/"],
  "@hono/node-server": ["lib/foundations/http/"],
  "hono": ["lib/api/"],
  "@optique/core": ["lib/foundations/cli/", "lib/api/client/", "lib/features/", "cmd/"],
  "@optique/run": ["cmd/"],
  "@valibot/to-json-schema": ["lib/api/"],
  "ipaddr.js": ["lib/features/gryt/"],
  "jsonc-parser": ["lib/foundations/http/"],
  "string-width": ["lib/foundations/cli/"],
  "systeminformation": ["lib/foundations/host/"],
  "prom-client": ["lib/foundations/metrics/"],
  "uuid": ["lib/core/"],
  "valibot": ["lib/", "cmd/"],
  "yaml": ["lib/foundations/config/"],
  // For tools: docs/architecture.md has the reasons.
  "@std/cli": [],
  "@std/yaml": [],
  "node:sqlite": ["lib/foundations/store/"],
  "node:child_process": ["lib/foundations/process/", "lib/spine/executors/", "cmd/"],
  "Deno.Command": ["lib/foundations/process/", "lib/spine/executors/", "cmd/"],
  "Deno.dlopen": ["lib/foundations/systemd/libc.ts"],
  // It opens what it sees, and stops the program at a FIFO.
  "Deno.watchFs": ["lib/features/containers/container_usage.ts"],
  "Deno.exit": [],
};

/** The place of a file. */
export interface Place {
  /** Path below the project's root. */
  readonly path: string;
  /** For messages: `lib/foundations/store`, `cmd`, `tests`. */
  readonly directory: string;
  /** Increases downwards, by layer and row; `undefined` outside the product, where all is allowed. */
  readonly depth: number | undefined;
}

/** Returns the place of a file; `undefined` outside the directories that contain code. */
export function placeOf(filename: string): Place | undefined {
  const path = filename.replaceAll("\\", "/").replace(projectRoot(), "");
  return /^(lib|cmd|tests|tools|bench)\/(?!.*\bnode_modules\/)/.test(path)
    ? placeAt(path)
    : undefined;
}

/** Resolves an import; `undefined` if it leaves the project. */
export function resolveInside(from: Place, specifier: string): Place | undefined {
  const inside = /^\.\.?\//.test(specifier)
    ? new URL(specifier, `file:///project/${from.path}`)
    : specifier.startsWith("@lib/")
    ? new URL(specifier.slice("@lib/".length), "file:///project/lib/")
    : undefined;
  const path = inside?.pathname;
  return path?.startsWith("/project/") ? placeAt(path.slice("/project/".length)) : undefined;
}

/** Checks that the layers allow `from` to import `target`. */
export function mayImport(from: Place, target: Place): boolean {
  if (from.depth === undefined) return true;
  if (target.depth === undefined) return false;
  return from.directory === target.directory || target.depth > from.depth;
}

/** Checks that a specifier names something outside the project. */
export function isExternal(specifier: string): boolean {
  return /^(node|npm|jsr|https?):/.test(specifier) || packageOf(specifier) in OWNERS;
}

/** Checks that `place` may use a package, a `node:` module or a call of Deno. */
export function mayUse(place: Place, thing: string): boolean {
  if (place.depth === undefined) return true;
  const key = packageOf(thing);
  if (!(key in OWNERS)) return key.startsWith("node:") || key.startsWith("Deno.");
  return ownersOf(thing).some((owner) => place.path.startsWith(owner));
}

/** Returns a hint that names the owners. */
export function ownersHint(thing: string): string {
  const owners = ownersOf(thing);
  return owners.length > 0
    ? `Only ${owners.join(", ")} may use it; import from there`
    : "To use it, give it an owner in tools/lint/places.ts";
}

/** Returns the path prefixes of the owners. */
function ownersOf(thing: string): readonly string[] {
  return OWNERS[packageOf(thing)] ?? [];
}

function placeAt(path: string): Place {
  const [top = "", layer = "", directory = ""] = path.split("/");
  if (top === "cmd") return { path, directory: top, depth: 0 };
  const index = LAYERS.findIndex((known) => known === layer);
  if (top !== "lib" || index < 0) return { path, directory: top, depth: undefined };
  // Files of the API kit and of the core may import each other.
  const isFlat = layer === "api" || layer === "core";
  const rows = ORDER[layer] ?? [];
  const row = rows.findIndex((names) => names.includes(directory));
  return {
    path,
    directory: isFlat ? `lib/${layer}` : `lib/${layer}/${directory}`,
    depth: 100 * index + (row < 0 ? rows.length : row),
  };
}

function packageOf(specifier: string): string {
  if (/^(node:|Deno\.)/.test(specifier)) return specifier;
  return specifier.split("/").slice(0, specifier.startsWith("@") ? 2 : 1).join("/");
}

function projectRoot(): string {
  return new URL("../..", import.meta.url).pathname;
}
