/**
 * Variables that the service manager sets for one process only.
 *
 * @module
 */

/** An environment from which variables can be taken; `Deno.env` is one. */
export interface TakeableEnvironment {
  get(name: string): string | undefined;
  delete(name: string): void;
}

/** Reads variables and removes them, so that no child inherits them. */
export function takeVariables<Name extends string>(
  env: TakeableEnvironment,
  names: readonly Name[],
): ReadonlyMap<Name, string> {
  const taken = new Map<Name, string>();
  for (const name of names) {
    const value = env.get(name);
    if (value === undefined) continue;
    taken.set(name, value);
    env.delete(name);
  }
  return taken;
}
