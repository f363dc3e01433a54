/**
 * Where a file stands in the project, and what may be used there.
 *
 * The two tables here are the architecture: which folder is in which layer,
 * and which folder owns which outside thing.
 *
 * @module
 */

/**
 * The folders of `lib/` by layer, from the top down; `cmd/` is above them.
 *
 * A folder that is not named here is a feature: the second layer from above.
 */
const API = ["api"];
const DOMAIN = ["jobs"];
const FOUNDATIONS = [
  "config",
  "docker",
  "files",
  "http",
  "log",
  "metrics",
  "process",
  "secrets",
  "store",
  "systemd",
];
const CORE = ["core"];

/** Layers are numbered downwards. */
const LAYER = { cmd: 0, api: 1, features: 2, domain: 3, foundations: 4, core: 5 } as const;

/**
 * Who may use an outside thing; a prefix of a path each.
 *
 * A package stands for its subpaths too. What is not in the table is free if
 * it is a `node:` module or a call of Deno, and refused if it is a package.
 */
const OWNERS: Readonly<Record<string, readonly string[]>> = {
  "aws4fetch": ["lib/artifacts/"],
  "dockerode": ["lib/docker/"],
  "ws": ["lib/http/"],
  "@hono/node-server": ["lib/http/", "cmd/"],
  "hono": ["lib/http/", "lib/api/", "cmd/"],
  "@logtape/logtape": ["lib/log/"],
  "@optique/core": ["cmd/"],
  "@optique/run": ["cmd/"],
  "@valibot/to-json-schema": ["lib/api/"],
  "prom-client": ["lib/metrics/"],
  "uuid": ["lib/core/"],
  "valibot": [
    "lib/api/",
    "lib/agent_link/",
    "lib/artifacts/",
    "lib/caches/",
    "lib/client/",
    "lib/config/",
    "lib/docker/",
    "lib/jobs/",
    "cmd/",
  ],
  "yaml": ["lib/config/"],
  "node:sqlite": ["lib/store/"],
  "node:child_process": ["lib/process/", "lib/executors/", "cmd/"],
  "Deno.Command": ["lib/process/", "lib/executors/", "cmd/"],
  "Deno.dlopen": ["lib/systemd/libc.ts"],
  "Deno.exit": [],
};

/** Where a file stands. */
export interface Place {
  /** Path below the project's folder. */
  readonly path: string;
  /** For messages: `lib/store`, `cmd`, `tests`. */
  readonly folder: string;
  /** 0 is the top layer; `undefined` outside the product, where all is allowed. */
  readonly layer: number | undefined;
}

/** The place of a file; `undefined` outside the folders that hold code. */
export function placeOf(filename: string): Place | undefined {
  const path = filename.replaceAll("\\", "/").replace(projectFolder(), "");
  return /^(lib|cmd|tests|tools|bench)\/(?!.*\bnode_modules\/)/.test(path)
    ? placeAt(path)
    : undefined;
}

/** Finds what an import of the project names; `undefined` if it leaves the project. */
export function resolveInside(from: Place, specifier: string): Place | undefined {
  const inside = /^\.\.?\//.test(specifier)
    ? new URL(specifier, `file:///project/${from.path}`)
    : specifier.startsWith("@lib/")
    ? new URL(specifier.slice("@lib/".length), "file:///project/lib/")
    : undefined;
  const path = inside?.pathname;
  return path?.startsWith("/project/") ? placeAt(path.slice("/project/".length)) : undefined;
}

/** Whether the layers allow that `from` imports `target`. */
export function mayImport(from: Place, target: Place): boolean {
  if (from.layer === undefined) return true;
  if (target.layer === undefined) return false;
  return from.folder === target.folder || target.layer > from.layer;
}

/** Whether a specifier names something outside the project. */
export function isExternal(specifier: string): boolean {
  return /^(node|npm|jsr|https?):/.test(specifier) || packageOf(specifier) in OWNERS;
}

/** Whether `place` may use a package, a `node:` module or a call of Deno. */
export function mayUse(place: Place, thing: string): boolean {
  if (place.layer === undefined) return true;
  const key = packageOf(thing);
  if (!(key in OWNERS)) return key.startsWith("node:") || key.startsWith("Deno.");
  return ownersOf(thing).some((owner) => place.path.startsWith(owner));
}

/** Says who owns a thing. */
export function ownersHint(thing: string): string {
  const owners = ownersOf(thing);
  return owners.length > 0
    ? `Only ${owners.join(", ")} may; use what they export`
    : "If it is needed, give it an owner in tools/lint/places.ts";
}

/** The paths that own a thing. */
function ownersOf(thing: string): readonly string[] {
  return OWNERS[packageOf(thing)] ?? [];
}

function placeAt(path: string): Place {
  const [top = "", second = ""] = path.split("/");
  if (top === "cmd") return { path, folder: top, layer: LAYER.cmd };
  if (top !== "lib") return { path, folder: top, layer: undefined };
  return { path, folder: `lib/${second}`, layer: layerOf(second) };
}

function layerOf(folder: string): number {
  if (API.includes(folder)) return LAYER.api;
  if (DOMAIN.includes(folder)) return LAYER.domain;
  if (FOUNDATIONS.includes(folder)) return LAYER.foundations;
  return CORE.includes(folder) ? LAYER.core : LAYER.features;
}

function packageOf(specifier: string): string {
  if (/^(node:|Deno\.)/.test(specifier)) return specifier;
  return specifier.split("/").slice(0, specifier.startsWith("@") ? 2 : 1).join("/");
}

function projectFolder(): string {
  return new URL("../..", import.meta.url).pathname;
}
