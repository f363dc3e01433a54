/**
 * Finds the slim runtime that `deno compile` puts into an executable.
 *
 * @module
 */

/** Where `deno compile` will take its runtime from. */
export type Denort =
  | { readonly kind: "given"; readonly path: string }
  | { readonly kind: "cached"; readonly path: string }
  | { readonly kind: "download"; readonly url: string }
  | { readonly kind: "unavailable"; readonly reason: string };

/** What {@linkcode findDenort} asks of the machine. */
export interface DenortPorts {
  readonly env: (name: string) => string | undefined;
  readonly exists: (path: string) => Promise<boolean>;
  /** Whether a URL answers. */
  readonly reachable: (url: string) => Promise<boolean>;
}

/** Looks for the runtime of `target` in the order in which `deno compile` does. */
export async function findDenort(
  version: string,
  target: string,
  ports: DenortPorts,
): Promise<Denort> {
  const given = ports.env("DENORT_BIN");
  if (given !== undefined && given !== "") {
    return await ports.exists(given)
      ? { kind: "given", path: given }
      : { kind: "unavailable", reason: `DENORT_BIN names "${given}", which does not exist` };
  }
  const name = `denort-${target}.zip`;
  const cache = cacheDir(ports.env);
  if (cache !== undefined) {
    const path = `${cache}/dl/release/v${version}/${name}`;
    if (await ports.exists(path)) return { kind: "cached", path };
  }
  const url = `https://dl.deno.land/release/v${version}/${name}`;
  return await ports.reachable(url)
    ? { kind: "download", url }
    : { kind: "unavailable", reason: `${name} is not cached, and ${url} does not answer` };
}

function cacheDir(env: DenortPorts["env"]): string | undefined {
  const own = env("DENO_DIR");
  if (own) return own;
  const xdg = env("XDG_CACHE_HOME");
  if (xdg) return `${xdg}/deno`;
  const home = env("HOME");
  return home ? `${home}/.cache/deno` : undefined;
}
