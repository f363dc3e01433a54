/**
 * Where the functions of a shared library are in its file.
 *
 * @module
 */

const SECTION_SYMBOLS = 11;
const SEGMENT_LOAD = 1;

/**
 * Returns the offset of each named function in an ELF file of 64 bits.
 *
 * @throws {Error} If one of them is not there.
 */
export function functionOffsets(
  file: Uint8Array<ArrayBuffer>,
  names: readonly string[],
): ReadonlyMap<string, number> {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const u16 = (at: number) => view.getUint16(at, true);
  const u32 = (at: number) => view.getUint32(at, true);
  const u64 = (at: number) => Number(view.getBigUint64(at, true));
  if (u32(0) !== 0x464c457f || view.getUint8(4) !== 2) {
    throw new Error("not an ELF file of 64 bits");
  }
  const section = (index: number) => u64(0x28) + index * u16(0x3a);
  const found = new Map<string, number>();
  for (let index = 0; index < u16(0x3c); index++) {
    const at = section(index);
    if (u32(at + 4) !== SECTION_SYMBOLS) continue;
    const strings = u64(section(u32(at + 0x28)) + 0x18);
    const begin = u64(at + 0x18);
    for (let symbol = begin; symbol < begin + u64(at + 0x20); symbol += 24) {
      const value = u64(symbol + 8);
      const from = strings + u32(symbol);
      const name = new TextDecoder().decode(file.subarray(from, file.indexOf(0, from)));
      if (value > 0 && names.includes(name)) found.set(name, offsetOf(value));
    }
  }
  const missing = names.find((name) => !found.has(name));
  if (missing !== undefined) throw new Error(`the library has no function "${missing}"`);
  return found;

  function offsetOf(address: number): number {
    for (let index = 0; index < u16(0x38); index++) {
      const at = u64(0x20) + index * u16(0x36);
      const start = u64(at + 0x10);
      if (u32(at) !== SEGMENT_LOAD || address < start || address >= start + u64(at + 0x20)) {
        continue;
      }
      return address - start + u64(at + 8);
    }
    throw new Error(`no segment has the address ${address}`);
  }
}
