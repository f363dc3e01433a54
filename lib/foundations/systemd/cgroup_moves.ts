/**
 * Keeps moves of processes into cgroups fast.
 *
 * For each move the kernel takes a lock that is cheap to take again, but makes the first move after
 * some milliseconds wait for all processors, about 10 ms. The service manager moves each process
 * that it starts. A process that moves itself to where it is takes the lock beforehand, beside other
 * work, and changes nothing.
 *
 * @module
 */

/** The files of the kernel, for tests. */
export interface CgroupFiles {
  read(path: string): string;
  /** Writes to an existing file. */
  write(path: string, text: string): Promise<void>;
}

const SYSTEM: CgroupFiles = {
  read: (path) => Deno.readTextFileSync(path),
  write: (path, text) => Deno.writeTextFile(path, text, { create: false }),
};

/** Takes the kernel's lock of moves for the move that follows. */
export class CgroupMoves {
  readonly #files: CgroupFiles;
  #state: "ready" | "busy" | "refused" = "ready";

  constructor(files: CgroupFiles = SYSTEM) {
    this.#files = files;
  }

  /** Resolves when the next move is fast; at once where that is not allowed, or under way already. */
  async prepare(): Promise<void> {
    if (this.#state !== "ready") return;
    this.#state = "busy";
    try {
      // Read each time: a process that was moved since must stay where it is. At once: in another
      // thread it would take until the caller's own work is done, which is to go on beside the move.
      const path = processesOf(this.#files.read("/proc/self/cgroup"));
      if (path !== undefined) await this.#files.write(path, String(Deno.pid));
      this.#state = path === undefined ? "refused" : "ready";
    } catch {
      // A read-only file system, or another account's cgroup: it will not change.
      this.#state = "refused";
    }
  }
}

/** Returns the file that lists the processes of the service manager's cgroup of this process. */
function processesOf(text: string): string | undefined {
  const legacy = /^\d+:name=systemd:(\/.+)$/m.exec(text)?.[1];
  if (legacy !== undefined) return `/sys/fs/cgroup/systemd${legacy}/cgroup.procs`;
  const unified = /^0::(\/.+)$/m.exec(text)?.[1];
  return unified === undefined ? undefined : `/sys/fs/cgroup${unified}/cgroup.procs`;
}
