/**
 * Tells for which machine an executable is.
 *
 * @module
 */

/** Bytes at the start of a file that {@linkcode platformOf} reads. */
const HEADER_BYTES = 20;

/** `e_machine` of ELF, by the architecture's name in a triple. */
const ELF_MACHINES = new Map([[62, "x86_64"], [183, "aarch64"]]);

/** `cputype` of Mach-O. */
const MACH_O_MACHINES = new Map([[0x0100_0007, "x86_64"], [0x0100_000c, "aarch64"]]);

/**
 * Returns the platform of an executable, such as `x86_64-linux` or `aarch64-darwin`.
 *
 * @param header Its first bytes.
 * @returns `undefined` if it is not a 64-bit executable of a machine that there is a release for.
 */
export function platformOf(header: Uint8Array): string | undefined {
  if (header.length < HEADER_BYTES) return undefined;
  const view = new DataView(header.buffer, header.byteOffset, header.length);
  // 64 bits, least significant byte first, version 1.
  if (view.getUint32(0) === 0x7f45_4c46 && view.getUint32(4) >>> 8 === 0x02_0101) {
    const machine = ELF_MACHINES.get(view.getUint16(18, true));
    return machine === undefined ? undefined : `${machine}-linux`;
  }
  if (view.getUint32(0, true) === 0xfeed_facf) {
    const machine = MACH_O_MACHINES.get(view.getUint32(4, true));
    return machine === undefined ? undefined : `${machine}-darwin`;
  }
  return undefined;
}

/**
 * Checks that a file is an executable for `target`.
 *
 * @throws {Error} If it is for another machine, or no executable.
 */
export async function requirePlatform(path: string, target: string): Promise<void> {
  const header = new Uint8Array(HEADER_BYTES);
  using file = await Deno.open(path);
  const size = await file.read(header) ?? 0;
  const found = platformOf(header.subarray(0, size));
  const wanted = target.replace(/^([^-]+)-.*(linux|darwin).*$/, "$1-$2");
  if (found === wanted) return;
  throw new Error(
    `Cannot use "${path}" for "${target}": it is ` +
      (found === undefined ? "not an executable of a known machine" : `for ${found}`),
  );
}
