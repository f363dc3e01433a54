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
  /** There is none: without `DENORT_BIN`, a shared runtime can take its place. */
  | { readonly kind: "unavailable"; readonly reason: string }
  /** `DENORT_BIN` names one that cannot be used. */
  | { readonly kind: "unusable"; readonly reason: string };

/** Access to the machine for {@linkcode findDenort}. */
export interface DenortPorts {
  readonly env: (name: string) => string | undefined;
  readonly exists: (path: string) => Promise<boolean>;
  /** The platform of this machine. */
  readonly host: string;
  /** Checks that a URL can be fetched; absent if the network must not be used. */
  readonly reachable?: (url: string) => Promise<boolean>;
}

/** Looks for the runtime of `target` in the order in which `deno compile` does. */
export async function findDenort(
  version: string,
  target: string,
  ports: DenortPorts,
): Promise<Denort> {
  const given = ports.env("DENORT_BIN");
  if (given !== undefined && given !== "") {
    if (target !== ports.host) {
      const reason = `DENORT_BIN cannot be run here to check its version; unset it, ` +
        `and leave Deno to use its own cache or the network`;
      return { kind: "unusable", reason };
    }
    return await ports.exists(given)
      ? { kind: "given", path: given }
      : { kind: "unusable", reason: `DENORT_BIN names "${given}", which does not exist` };
  }
  const name = `denort-${target}.zip`;
  const cache = cacheDir(ports.env);
  if (cache !== undefined) {
    const path = `${cache}/dl/release/v${version}/${name}`;
    if (await ports.exists(path)) return { kind: "cached", path };
  }
  if (ports.reachable === undefined) {
    return {
      kind: "unavailable",
      reason: `${name} is not cached, and the network is not used`,
    };
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
