/**
 * The files that the kernel shows of the machine.
 *
 * @module
 */
import { statfsSync } from "node:fs";

/** The space of a file system, for an ordinary user. */
export interface FileSystem {
  readonly totalBytes: number;
  readonly freeBytes: number;
  readonly files: number;
  readonly freeFiles: number;
}

/** Reads what the kernel shows; nothing here starts a program or waits. */
export interface MachineFiles {
  /** Returns the text of a file of `/proc` or `/sys`; empty if it is not there or closed. */
  readonly read: (path: string) => string;
  /** Returns the names in a directory; none if it is not there. */
  readonly list: (path: string) => readonly string[];
  /** Measures the file system of a path; `undefined` if it is not there. */
  readonly space: (path: string) => FileSystem | undefined;
  readonly memory: () => Deno.SystemMemoryInfo;
  readonly load: () => readonly number[];
  readonly uptimeSeconds: () => number;
}

/** The files of this machine. */
export const machineFiles: MachineFiles = {
  read(path) {
    try {
      return Deno.readTextFileSync(path);
    } catch {
      // What a kernel does not have is as good as closed: the figure is left out.
      return "";
    }
  },
  list(path) {
    try {
      return Array.from(Deno.readDirSync(path), ({ name }) => name);
    } catch {
      return [];
    }
  },
  space(path) {
    try {
      const { bavail, blocks, bsize, files, ffree } = statfsSync(path);
      const [totalBytes, freeBytes] = [blocks * bsize, bavail * bsize];
      return { totalBytes, freeBytes, files, freeFiles: ffree };
    } catch {
      return undefined;
    }
  },
  memory: () => Deno.systemMemoryInfo(),
  load: () => Deno.loadavg(),
  uptimeSeconds: () => Deno.osUptime(),
};
