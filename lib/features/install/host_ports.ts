/**
 * This machine, for `doctor` and for the installation of units.
 *
 * @module
 */
import { statfs } from "node:fs/promises";
import { CicdError } from "@lib/core/errors.ts";
import type { PathFacts } from "@lib/features/install/facts.ts";
import type { DoctorPorts } from "@lib/features/install/gather.ts";
import type { InstallPorts } from "@lib/features/install/install_ports.ts";
import { runCommand } from "@lib/foundations/process/run_command.ts";

/** What both kinds of ports have of the machine. */
export type HostPorts =
  & Omit<DoctorPorts, "subject" | "run" | "askRunner" | "askEngine">
  & Omit<InstallPorts, "subject" | "clock">;

/** How long one question to the machine may take. */
const COMMAND_TIMEOUT_MS = 30_000;

/**
 * Makes the ports of this machine.
 *
 * @param env The environment of the programs that are asked; `PATH` and
 * `XDG_RUNTIME_DIR` at least.
 */
export function hostPorts(env: Readonly<Record<string, string>>): HostPorts {
  return {
    async run(argv, signal, stdin) {
      try {
        const input = stdin === undefined ? {} : { stdin };
        return await runCommand(argv, { env, timeoutMs: COMMAND_TIMEOUT_MS, signal, ...input });
      } catch (error) {
        // No such program, or one that hangs: an answer too.
        if (error instanceof CicdError && error.code === "io_failed") return undefined;
        if (error instanceof CicdError && error.code === "deadline_exceeded") {
          return { code: 124, stdout: "", stderr: error.message };
        }
        throw error;
      }
    },
    async readText(path, signal) {
      return await Deno.readTextFile(path, { signal }).catch(unlessOutOfReach);
    },
    stat,
    freeBytes,
    async writeText(path, text, signal) {
      signal.throwIfAborted();
      await Deno.mkdir(parent(path), { recursive: true });
      const scratch = `${path}.tmp.${Deno.pid}`;
      try {
        await Deno.writeTextFile(scratch, text, { signal, mode: 0o644 });
        await Deno.rename(scratch, path);
      } catch (error) {
        await Deno.remove(scratch).catch(unlessAbsent);
        throw error;
      }
    },
    async removeFile(path, signal) {
      signal.throwIfAborted();
      await Deno.remove(path).catch(unlessAbsent);
      // Only an empty directory goes; another drop-in keeps its own.
      if (parent(path).endsWith(".d")) await Deno.remove(parent(path)).catch(unlessInUse);
    },
    async list(path, signal) {
      signal.throwIfAborted();
      const entries = await Array.fromAsync(Deno.readDir(path)).catch(unlessOutOfReach);
      return (entries ?? []).map(({ name }) => name);
    },
  };
}

async function stat(path: string, signal: AbortSignal): Promise<PathFacts> {
  signal.throwIfAborted();
  const found = await Deno.stat(path).catch(unlessOutOfReach);
  return found === undefined
    ? { kind: "missing", path }
    : { kind: "found", path, mode: (found.mode ?? 0) & 0o7777, uid: found.uid ?? -1 };
}

async function freeBytes(path: string, signal: AbortSignal): Promise<number | undefined> {
  for (let near = path; near !== ""; near = parent(near)) {
    if ((await stat(near, signal)).kind === "missing") continue;
    const { bavail, bsize } = await statfs(near);
    return bavail * bsize;
  }
  return undefined;
}

function unlessAbsent(error: unknown): undefined {
  if (!(error instanceof Deno.errors.NotFound)) throw error;
}

function unlessOutOfReach(error: unknown): undefined {
  const outOfReach = error instanceof Deno.errors.PermissionDenied ||
    error instanceof Deno.errors.NotADirectory;
  return outOfReach ? undefined : unlessAbsent(error);
}

function unlessInUse(error: unknown): undefined {
  // ENOTEMPTY has no class of its own.
  const inUse = error instanceof Error && "code" in error && error.code === "ENOTEMPTY";
  return inUse ? undefined : unlessAbsent(error);
}

function parent(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf("/")));
}
