/**
 * Facts of the source tree for the bill of materials: imported packages and their licences.
 *
 * @module
 */
import * as v from "valibot";
import { licenseOf, type LockedPackages } from "./sbom.ts";

const config = v.object({
  license: v.string(),
  imports: v.record(v.string(), v.string()),
});

/** Facts of a source tree. */
export interface Sources {
  /** SPDX expression of the product's own licence. */
  readonly license: string;
  /** Specifiers of the packages that the programs import, such as `npm:yaml@2.9.1`. */
  readonly shipped: readonly string[];
  /** SPDX expressions, by the id of the package in the lock. */
  readonly licenses: ReadonlyMap<string, string>;
}

/** Reads the facts of the tree at `root`, whose packages are installed. */
export async function readSources(root: string, locked: LockedPackages): Promise<Sources> {
  const text = await Deno.readTextFile(`${root}/deno.json`);
  const { license, imports } = v.parse(v.pipe(v.string(), v.parseJson(), config), text);
  const code = await readCode([`${root}/lib`, `${root}/cmd`]);
  const shipped = Object.entries(imports)
    .filter(([name]) => code.includes(`"${name}"`) || code.includes(`"${name}/`))
    .map(([, specifier]) => specifier)
    .filter((specifier) => specifier.startsWith("npm:"));
  const licenses = new Map<string, string>();
  for (const { id, name, version } of locked.packages) {
    const place = `node_modules/.deno/${name.replace("/", "+")}@${version}/node_modules/${name}`;
    const manifest = await readIfThere(`${root}/${place}/package.json`);
    const found = manifest === undefined ? undefined : licenseOf(manifest);
    if (found !== undefined) licenses.set(id, found);
  }
  return { license, shipped, licenses };
}

/** Returns what the modules below the directories import: their lines with "from" or "import(". */
async function readCode(directories: readonly string[]): Promise<string> {
  const lines: string[] = [];
  for (const directory of directories) {
    for await (const { name, isFile, isDirectory } of Deno.readDir(directory)) {
      const path = `${directory}/${name}`;
      if (isDirectory) lines.push(await readCode([path]));
      if (!isFile || !name.endsWith(".ts")) continue;
      const text = await Deno.readTextFile(path);
      // Types leave nothing behind in a program.
      lines.push(
        ...text.split("\n").filter((line) =>
          /(?:\bfrom |\bimport\()"/.test(line) && !/^(?:import|export) type /.test(line)
        ),
      );
    }
  }
  return lines.join("\n");
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}
