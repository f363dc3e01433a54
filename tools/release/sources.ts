/**
 * Facts of the source tree for the bill of materials: its licence, and those of its packages.
 *
 * @module
 */
import * as v from "valibot";
import { licenseOf } from "../build/licenses.ts";
import type { LockedPackages } from "./sbom.ts";

const config = v.object({ license: v.string() });

/** Facts of a source tree. */
export interface Sources {
  /** SPDX expression of the product's own licence. */
  readonly license: string;
  /** SPDX expressions, by the id of the package in the lock. */
  readonly licenses: ReadonlyMap<string, string>;
}

/** Reads the facts of the tree at `root`, whose packages are installed. */
export async function readSources(root: string, locked: LockedPackages): Promise<Sources> {
  const text = await Deno.readTextFile(`${root}/deno.json`);
  const { license } = v.parse(v.pipe(v.string(), v.parseJson(), config), text);
  const licenses = new Map<string, string>();
  for (const { id, name, version } of locked.packages) {
    const place = `node_modules/.deno/${name.replace("/", "+")}@${version}/node_modules/${name}`;
    const manifest = await readIfThere(`${root}/${place}/package.json`);
    const found = manifest === undefined ? undefined : licenseOf(manifest);
    if (found !== undefined) licenses.set(id, found);
  }
  return { license, licenses };
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}
