import assert from "node:assert/strict";
import { platformOf } from "../../../../tools/build/executable_format.ts";

/** The start of an ELF file; by default of a 64-bit one, least significant byte first. */
function elf(machine: number, kind = [2, 1, 1]): Uint8Array {
  return Uint8Array.of(
    ...[0x7f, 0x45, 0x4c, 0x46, ...kind, ...new Array(11).fill(0)],
    ...[machine & 0xff, machine >> 8],
  );
}

/** The start of a 64-bit Mach-O file. */
function machO(cpu: number): Uint8Array {
  return Uint8Array.of(0xcf, 0xfa, 0xed, 0xfe, cpu, 0, 0, 1, ...new Array(12).fill(0));
}

const HEADERS: readonly (readonly [string, Uint8Array, string | undefined])[] = [
  ["ELF for x86-64", elf(62), "x86_64-linux"],
  ["ELF for arm64", elf(183), "aarch64-linux"],
  ["ELF for RISC-V", elf(243), undefined],
  ["ELF of 32 bits", elf(62, [1, 1, 1]), undefined],
  ["ELF of the other byte order", elf(62, [2, 2, 1]), undefined],
  ["Mach-O for x86-64", machO(7), "x86_64-darwin"],
  ["Mach-O for arm64", machO(12), "aarch64-darwin"],
  ["a script", new TextEncoder().encode("#!/bin/sh\nexec true # and more\n"), undefined],
  ["an archive", Uint8Array.of(0x50, 0x4b, 3, 4, ...new Array(20).fill(0)), undefined],
  ["a cut header", elf(62).subarray(0, 19), undefined],
  ["nothing", new Uint8Array(), undefined],
];

for (const [name, header, platform] of HEADERS) {
  Deno.test(`platformOf() tells ${name}: ${platform}`, () => {
    assert.equal(platformOf(header), platform);
  });
}
