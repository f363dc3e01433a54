/**
 * The limits a unit is under and what it uses, as systemd reports them.
 *
 * @module
 */
import type { DBusValue } from "@lib/foundations/systemd/dbus/wire.ts";
import { type UnitProperty, unitProperty } from "@lib/foundations/systemd/unit_property.ts";

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
    if (typeof value !== "bigint" || value === NOT_COUNTED) return;
    limits[field] = field === "cpuQuota" ? Number(value) / 1_000_000 : Number(value);
  });
  return limits;
}

/** What a unit uses now; what is absent is not counted there. */
export interface ResourceUsage {
  readonly memoryBytes?: number;
  readonly tasks?: number;
  /** Since the unit was started. */
  readonly cpuSeconds?: number;
}

/** The properties from which {@linkcode decodeUsage} reads. */
export const USAGE_PROPERTIES = [
  ["MemoryCurrent", "memoryBytes"],
  ["TasksCurrent", "tasks"],
  ["CPUUsageNSec", "cpuSeconds"],
] as const;

/** Reads usage from the values of {@linkcode USAGE_PROPERTIES}, in that order. */
export function decodeUsage(values: readonly (DBusValue | undefined)[]): ResourceUsage {
  const usage: { -readonly [Key in keyof ResourceUsage]: number } = {};
  USAGE_PROPERTIES.forEach(([, field], index) => {
    const value = values[index];
    if (typeof value !== "bigint" || value === NOT_COUNTED) return;
    usage[field] = field === "cpuSeconds" ? Number(value) / 1e9 : Number(value);
  });
  return usage;
}

/** Also means "infinity" where a limit is meant. */
const NOT_COUNTED = 0xffff_ffff_ffff_ffffn;

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
