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

/** Bundles `program`; returns the path of the bundle. */
export async function bundle(
  program: Pick<Program, "entry" | "bundle">,
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
    `--output=${output}`,
    program.entry,
  ], { cwd: options.root, signal: options.signal });
  await Deno.writeTextFile(output, toAscii(await Deno.readTextFile(output)));
  return output;
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
