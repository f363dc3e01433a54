/**
 * The inventory of the machine, which does not change while it runs.
 *
 * The library starts dozens of programs and waits for some of them: this is called in a process of its
 * own only, `cicd-runner host --local`.
 *
 * @module
 */
// @ts-types="./systeminformation.d.ts"
import type Library from "systeminformation";
import * as v from "valibot";

const shown = v.pipe(v.nullish(v.string(), ""), v.transform((text) => text.trim().slice(0, 200)));
const number = v.pipe(
  v.nullish(v.union([v.number(), v.string()]), 0),
  v.transform((value) => Number.isFinite(Number(value)) ? Math.max(0, Number(value)) : 0),
);
const flag = v.nullish(v.boolean(), false);

/** The inventory, as the library gives it, cut to what is of use; of any unknown part a zero. */
export const inventorySchema = v.object({
  os: v.object({
    distro: shown,
    release: shown,
    codename: shown,
    kernel: shown,
    arch: shown,
    hostname: shown,
  }),
  cpu: v.object({
    manufacturer: shown,
    brand: shown,
    speed_ghz: number,
    cores: number,
    physical_cores: number,
    sockets: number,
    virtualization: flag,
  }),
  system: v.object({ manufacturer: shown, model: shown, virtual: flag }),
});

/** The inventory of a machine, in the words of the API. */
export type Inventory = v.InferOutput<typeof inventorySchema>;

/** Takes the inventory of this machine. */
export async function takeInventory(): Promise<Inventory> {
  // @ts-types="./systeminformation.d.ts"
  const { default: module } = await import("systeminformation");
  const library: typeof Library = module;
  const [os, cpu, system] = await Promise.all([
    library.osInfo(),
    library.cpu(),
    library.system(),
  ]);
  const words = {
    speed_ghz: cpu["speed"],
    physical_cores: cpu["physicalCores"],
    sockets: cpu["processors"],
  };
  return v.parse(inventorySchema, { os, cpu: { ...cpu, ...words }, system });
}
