/**
 * Makes one file of a program and everything it imports.
 *
 * Not minified: a stack trace names functions, and the bundle says which file
 * each part came from. Not split: a program that runs across an upgrade must
 * never load a part of the next release.
 *
 * @module
 */
import type { Program } from "./layout.ts";
import { run } from "./run.ts";

/** Where a bundle is made. */
export interface BundleOptions {
  /** Root of the tree; paths in the bundle's comments are relative to it. */
  readonly root: string;
  readonly outDir: string;
  readonly signal: AbortSignal;
}

/** A package in a file of its own. */
export interface LazyPackage {
  readonly name: string;
  /** What the programs import of it. */
  readonly exports: string;
}

/**
 * Packages that get a file of their own, with what is used of each. It is read when somebody asks
 * for it: most runs of a program never do, and every part of its own file costs each run memory.
 *
 * The name of the file holds a hash of its content: a program never loads that of another release.
 */
export const LAZY_PACKAGES: readonly LazyPackage[] = [
  { name: "dockerode", exports: "default" },
  { name: "ipaddr.js", exports: "default" },
  { name: "jsonc-parser", exports: "createScanner" },
  { name: "string-width", exports: "default" },
  { name: "ws", exports: "WebSocketServer" },
];

/** Bundles a package of {@linkcode LAZY_PACKAGES}; returns the name of its file. */
export async function bundlePackage(
  { name, exports }: LazyPackage,
  options: BundleOptions,
): Promise<string> {
  const entry = `${options.outDir}/.${name}.ts`;
  const draft = `.${name}.js`;
  try {
    await Deno.writeTextFile(entry, `export { ${exports} } from "${name}";\n`);
    const path = await bundle({ entry, bundle: draft }, new Map(), options);
    // The entry's path is not the same in two builds, and what is built has to be.
    const source = (await Deno.readTextFile(path)).replace(entryComment(name), "");
    await Deno.writeTextFile(path, source);
    const bytes = new TextEncoder().encode(source);
    const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex().slice(0, 12);
    const file = `${name}-${hash}.js`;
    await Deno.rename(path, `${options.outDir}/${file}`);
    return file;
  } finally {
    await Deno.remove(entry);
  }
}

/** The line by which a bundle tells where the part that follows came from. */
function entryComment(name: string): RegExp {
  return new RegExp(`^// \\S.*/\\.${name}\\.ts$`, "m");
}

/**
 * Bundles `program`; returns the path of the bundle.
 *
 * @param packages Files that stand for packages, by the package's name.
 */
export async function bundle(
  program: Pick<Program, "entry" | "bundle" | "without">,
  packages: ReadonlyMap<string, string>,
  options: BundleOptions,
): Promise<string> {
  const output = `${options.outDir}/${program.bundle}`;
  await run([
    Deno.execPath(),
    "bundle",
    "--quiet",
    "--no-check",
    "--platform=deno",
    "--external=*.node",
    ...[...packages.keys()].map((name) => `--external=${name}`),
    ...(program.without ?? []).map((file) => `--external=@lib/features/*/${file}`),
    `--output=${output}`,
    program.entry,
  ], { cwd: options.root, signal: options.signal });
  const source = linkPackages(await Deno.readTextFile(output), packages);
  await Deno.writeTextFile(output, toAscii(source));
  return output;
}

/** Makes imports of packages imports of the files that stand for them. */
function linkPackages(source: string, packages: ReadonlyMap<string, string>): string {
  for (const [name, file] of packages) {
    source = source.replaceAll(`import("${name}")`, `import("./${file}")`);
    // A static import would be read at each start, and one in other words would find nothing.
    if (source.includes(`"${name}"`)) {
      throw new Error(`Cannot bundle: "${name}" is imported otherwise than by import("${name}")`);
    }
  }
  return source;
}

/**
 * Escapes what is not ASCII. A single such character would make V8 keep the whole source with two
 * bytes for each character. In the sources they stand in comments, which the bundle has not, and in
 * literals, where an escape means the same.
 */
function toAscii(source: string): string {
  const escape = (unit: number) => `\\u${unit.toString(16).padStart(4, "0")}`;
  return source.replaceAll(
    /\P{ASCII}/gu,
    (char) => Array.from(char.split(""), (unit) => escape(unit.charCodeAt(0))).join(""),
  );
}
