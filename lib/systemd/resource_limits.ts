/**
 * The limits a unit is under, as systemd reports them.
 *
 * @module
 */
import type { DBusValue } from "@lib/systemd/dbus/wire.ts";
import { type UnitProperty, unitProperty } from "@lib/systemd/unit_property.ts";

/** Limits of a unit; what is absent is not limited, or weighs the default. */
export interface ResourceLimits {
  /** CPUs at once: 1.5 is one and a half. */
  readonly cpuQuota?: number;
  /** 1 to 10000; 100 is the default. */
  readonly cpuWeight?: number;
  readonly memoryMaxBytes?: number;
  readonly memoryHighBytes?: number;
  readonly memorySwapMaxBytes?: number;
  readonly tasksMax?: number;
  /** 1 to 10000; 100 is the default. */
  readonly ioWeight?: number;
}

/** The properties from which {@linkcode decodeLimits} reads. */
export const LIMIT_PROPERTIES = [
  ["CPUQuotaPerSecUSec", "cpuQuota"],
  ["CPUWeight", "cpuWeight"],
  ["MemoryMax", "memoryMaxBytes"],
  ["MemoryHigh", "memoryHighBytes"],
  ["MemorySwapMax", "memorySwapMaxBytes"],
  ["TasksMax", "tasksMax"],
  ["IOWeight", "ioWeight"],
] as const;

/** Reads limits from the values of {@linkcode LIMIT_PROPERTIES}, in that order. */
export function decodeLimits(values: readonly (DBusValue | undefined)[]): ResourceLimits {
  const limits: { -readonly [Key in keyof ResourceLimits]: number } = {};
  LIMIT_PROPERTIES.forEach(([, field], index) => {
    const value = values[index];
    if (typeof value !== "bigint" || value === 0xffff_ffff_ffff_ffffn) return;
    limits[field] = field === "cpuQuota" ? Number(value) / 1_000_000 : Number(value);
  });
  return limits;
}

/** The properties that put a unit under these limits, and lift every other. */
export function limitProperties(limits: ResourceLimits): readonly UnitProperty[] {
  return [
    unitProperty.cpuQuota(limits.cpuQuota),
    unitProperty.cpuWeight(limits.cpuWeight),
    unitProperty.memoryMax(limits.memoryMaxBytes),
    unitProperty.memoryHigh(limits.memoryHighBytes),
    unitProperty.memorySwapMax(limits.memorySwapMaxBytes),
    unitProperty.tasksMax(limits.tasksMax),
    unitProperty.ioWeight(limits.ioWeight),
  ];
}
