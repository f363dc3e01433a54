/**
 * Reads the figures of the machine, without starting a program.
 *
 * @module
 */
import { statfs } from "node:fs";
import { promisify } from "node:util";
import type { Clock } from "@lib/core/clock.ts";
import { ignore } from "@lib/core/errors.ts";
import type { DiskReading, HostReading } from "@lib/features/console/metrics.ts";
import { type Mount, mountsIn } from "@lib/features/console/mounts.ts";
import { machineFiles } from "@lib/foundations/host/machine_files.ts";

/** Makes what reads the figures. A file system that does not answer is left out until it does. */
export function hostReader({ clock, cores }: { readonly clock: Clock; readonly cores: number }) {
  const stuck = new Set<string>();
  return async (): Promise<HostReading> => ({
    at: clock.now(),
    stat: machineFiles.read("/proc/stat"),
    meminfo: machineFiles.read("/proc/meminfo"),
    netDev: machineFiles.read("/proc/net/dev"),
    load: machineFiles.load(),
    cores,
    disks: await disks(machineFiles.read("/proc/self/mountinfo"), stuck),
  });
}

async function disks(mountinfo: string, stuck: Set<string>): Promise<readonly DiskReading[]> {
  const found = await Promise.all(mountsIn(mountinfo).map((mount) => measure(mount, stuck)));
  return found.filter((disk) => disk !== undefined);
}

async function measure(mount: Mount, stuck: Set<string>): Promise<DiskReading | undefined> {
  const { mountPoint } = mount;
  if (stuck.has(mountPoint)) return undefined;
  stuck.add(mountPoint);
  const asked = promisify(statfs)(mountPoint);
  void asked.catch(ignore("it is awaited below")).finally(() => stuck.delete(mountPoint));
  const timeout = Promise.withResolvers<undefined>();
  const timer = setTimeout(() => timeout.resolve(undefined), STATFS_MS);
  try {
    const space = await Promise.race([asked, timeout.promise]);
    if (space === undefined) return undefined;
    const { blocks, bfree, bavail, bsize } = space;
    return {
      ...mount,
      totalBytes: blocks * bsize,
      usedBytes: (blocks - bfree) * bsize,
      freeBytes: bavail * bsize,
    };
  } catch {
    // Not allowed, or gone meanwhile.
    return undefined;
  } finally {
    clearTimeout(timer);
  }
}

const STATFS_MS = 2_000;
