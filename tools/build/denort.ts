/**
 * Finds the slim runtime that `deno compile` embeds in an executable.
 *
 * @module
 */

/** The source of the runtime that `deno compile` uses. */
export type Denort =
  | { readonly kind: "given"; readonly path: string }
  | { readonly kind: "cached"; readonly path: string }
  | { readonly kind: "download"; readonly url: string }
  | { readonly kind: "unavailable"; readonly reason: string };

/** Access to the machine for {@linkcode findDenort}. */
export interface DenortPorts {
  readonly env: (name: string) => string | undefined;
  readonly exists: (path: string) => Promise<boolean>;
  /** Checks that a URL can be fetched. */
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
    : { kind: "unavailable", reason: `${name} is not cached, and ${url} is unreachable` };
}

function cacheDir(env: DenortPorts["env"]): string | undefined {
  const own = env("DENO_DIR");
  if (own) return own;
  const xdg = env("XDG_CACHE_HOME");
  if (xdg) return `${xdg}/deno`;
  const home = env("HOME");
  return home ? `${home}/.cache/deno` : undefined;
}
