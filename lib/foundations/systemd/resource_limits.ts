/**
 * Limits and usage of a unit, as systemd reports them.
 *
 * @module
 */
import type { DBusValue } from "@lib/foundations/systemd/dbus/types.ts";
import {
  INFINITY,
  type UnitProperty,
  unitProperty,
} from "@lib/foundations/systemd/unit_property.ts";

/** Limits of a unit; an absent one is unlimited, or has the default weight. */
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

/** Current usage of a unit; an absent figure is not accounted. */
export interface ResourceUsage {
  readonly memoryBytes?: number;
  readonly tasks?: number;
  /** Since the unit was started. */
  readonly cpuSeconds?: number;
}

/** A property, the field that it becomes, and how many of its units make one of the field's. */
export type ResourceProperty = readonly [property: string, field: string, scale: number];

/** The properties of {@linkcode ResourceLimits}. */
export const LIMIT_PROPERTIES = [
  ["CPUQuotaPerSecUSec", "cpuQuota", 1_000_000],
  ["CPUWeight", "cpuWeight", 1],
  ["MemoryMax", "memoryMaxBytes", 1],
  ["MemoryHigh", "memoryHighBytes", 1],
  ["MemorySwapMax", "memorySwapMaxBytes", 1],
  ["TasksMax", "tasksMax", 1],
  ["IOWeight", "ioWeight", 1],
] as const satisfies readonly (readonly [string, keyof ResourceLimits, number])[];

/** The properties of {@linkcode ResourceUsage}. */
export const USAGE_PROPERTIES = [
  ["MemoryCurrent", "memoryBytes", 1],
  ["TasksCurrent", "tasks", 1],
  ["CPUUsageNSec", "cpuSeconds", 1e9],
] as const satisfies readonly (readonly [string, keyof ResourceUsage, number])[];

/** Converts the values of `table`, in its order; "infinity" and "not accounted" are left out. */
export function decodeProperties(
  table: readonly ResourceProperty[],
  values: readonly (DBusValue | undefined)[],
): Readonly<Record<string, number>> {
  return Object.fromEntries(table.flatMap(([, field, scale], index) => {
    const value = values[index];
    return typeof value === "bigint" && value !== INFINITY ? [[field, Number(value) / scale]] : [];
  }));
}

/** The properties that set these limits on a unit and lift every other. */
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
