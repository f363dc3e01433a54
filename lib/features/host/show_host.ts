/**
 * `host`: shows the machine.
 *
 * @module
 */
import type { CliContext } from "@lib/api/client/context.ts";
import { oneLine } from "@lib/api/client/format.ts";
import { formatDuration } from "@lib/core/duration.ts";
import { formatSize } from "@lib/core/size.ts";
import { type HostAnswer, showHost } from "@lib/features/host/client.ts";
import { takeInventory } from "@lib/foundations/host/inventory.ts";
import { renderFields } from "@lib/foundations/cli/table.ts";

/** Runs `host`. */
export async function runHost(
  { local }: { readonly local: boolean },
  { out, flags, paint, connect, signal }: CliContext,
): Promise<number> {
  const say = async (fields: Parameters<typeof renderFields>[0]) => {
    for (const line of renderFields(fields, (name) => paint("faint", name))) await out.line(line);
  };
  if (local) {
    const inventory = await takeInventory();
    if (flags.json) await out.json(inventory);
    else await say(inventoryFields(inventory));
    return 0;
  }
  using runner = await connect();
  const found = await showHost(runner, signal);
  if (flags.json) await out.json(found);
  else {
    await say([
      ...(found.inventory === null ? [] : inventoryFields(found.inventory)),
      ...platformFields(found.platform),
      ...sampleFields(found),
    ]);
  }
  return 0;
}

type Fields = readonly (readonly [string, string])[];

function inventoryFields({ os, cpu, system }: NonNullable<HostAnswer["inventory"]>): Fields {
  const words = (...parts: readonly string[]) => oneLine(parts.filter((part) => part).join(" "));
  return [
    ["host", words(os.hostname)],
    ["system", words(os.distro, os.release, os.codename, os.kernel, os.arch)],
    ["machine", words(system.manufacturer, system.model) || "unknown"],
    ["processor", words(cpu.manufacturer, cpu.brand, `(${cpu.cores} cores)`)],
  ];
}

/** An older runner does not tell the platform. */
function platformFields(platform: HostAnswer["platform"]): Fields {
  const { provider, region } = platform ?? {};
  if (typeof provider !== "string") return [];
  return [["platform", oneLine([provider, region ?? ""].filter((part) => part).join(" "))]];
}

function sampleFields(found: HostAnswer): Fields {
  const { memory, load, disks, cgroup, pressure } = found;
  const stalled = (["cpu", "memory", "io"] as const).flatMap((name) => {
    const one = pressure[name];
    return one === null ? [] : [`${name} ${one.some_avg10}%`];
  });
  return [
    ["up", formatDuration(Math.floor(found.uptime_seconds) * 1_000)],
    ["load", load.map((each) => each.toFixed(2)).join(" ")],
    [
      "memory",
      `${formatSize(memory.available_bytes)} of ${formatSize(memory.total_bytes)} available`,
    ],
    ...disks.map(({ use, path, total_bytes, free_bytes }) =>
      [
        use,
        `${formatSize(free_bytes)} of ${formatSize(total_bytes)} free (${oneLine(path)})`,
      ] as const
    ),
    ...(stalled.length === 0 ? [] : [["stalled", stalled.join(", ")] as const]),
    [
      "cgroups",
      cgroup.version === 0
        ? "none"
        : `version ${cgroup.version}; limits of jobs: ${cgroup.delegated.join(", ") || "none"}`,
    ],
  ];
}
