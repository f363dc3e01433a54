/**
 * The slim runtime of executables, used only if its SHA-256 is the one that a person recorded.
 *
 * Deno publishes it without a signature, and a release hands it on to everybody.
 *
 * @module
 */
import { dirname } from "node:path";
import { type DenortPorts, findDenort } from "../build/denort.ts";
import { type Checksums, parseChecksums, sha256Of } from "./checksums.ts";

/** The runtime for one target. */
export type PinnedDenort =
  | { readonly kind: "pinned"; readonly name: string; readonly sha256: string }
  | { readonly kind: "absent"; readonly reason: string };

/** Options for {@linkcode pinnedDenort}. */
export interface PinnedDenortOptions {
  readonly version: string;
  readonly target: string;
  readonly pins: Checksums;
  /** Access to the machine; `reachable` decides on a download, of which only a pinned one is made. */
  readonly ports: DenortPorts;
  /** Returns the content of a URL. */
  readonly fetch: (url: string) => Promise<Uint8Array>;
  /** Deno's own directory, in which it looks for downloads. */
  readonly denoDir: string;
}

/**
 * Finds the runtime, or downloads it to where `deno compile` looks.
 *
 * @throws {Error} If it is not the pinned one.
 */
export async function pinnedDenort(options: PinnedDenortOptions): Promise<PinnedDenort> {
  const { version, target, pins, ports } = options;
  const found = await findDenort(version, target, ports);
  if ("reason" in found) return { kind: "absent", reason: found.reason };
  const name = found.kind === "given" ? `denort-${target}` : `denort-${target}.zip`;
  const pin = pins.get(name);
  if (pin === undefined) {
    return { kind: "absent", reason: `${pinsFile(version)} has no line for ${name}` };
  }
  if (found.kind === "download") {
    const path = `${options.denoDir}/dl/release/v${version}/${name}`;
    const content = await options.fetch(found.url);
    await Deno.mkdir(dirname(path), { recursive: true });
    await Deno.writeFile(`${path}.tmp`, content);
    expect(await sha256Of(`${path}.tmp`), pin, found.url);
    await Deno.rename(`${path}.tmp`, path);
  } else {
    expect(await sha256Of(found.path), pin, found.path);
  }
  return { kind: "pinned", name, sha256: pin };
}

/** Reads the pins for a version of Deno, which sha256sum(1) wrote; there may be none. */
export async function readPins(root: string, version: string): Promise<Checksums> {
  try {
    return parseChecksums(await Deno.readTextFile(`${root}/${pinsFile(version)}`));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return new Map();
    throw error;
  }
}

function pinsFile(version: string): string {
  return `tools/release/denort-${version}.sha256`;
}

function expect(found: string, pin: string, what: string): void {
  if (found === pin) return;
  throw new Error(`Cannot use "${what}": its SHA-256 is ${found}, and ${pin} is the pinned one`);
}
