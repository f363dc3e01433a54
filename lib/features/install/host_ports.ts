/**
 * This machine, for `doctor` and for the installation of units.
 *
 * @module
 */
import { statfs } from "node:fs/promises";
import { dirname } from "node:path";
import { CicdError } from "@lib/core/errors.ts";
import type { DoctorPorts, PathFacts } from "@lib/features/install/facts.ts";
import type { InstallPorts } from "@lib/features/install/steps.ts";
import { runCommand } from "@lib/foundations/process/run_command.ts";

/** The machine's side of both kinds of ports. */
type HostPorts = Omit<
  DoctorPorts & InstallPorts,
  "subject" | "clock" | "askRunner" | "askEngine"
>;

/** Deadline of one command. */
const COMMAND_TIMEOUT_MS = 30_000;

/**
 * Returns the ports of this machine.
 *
 * @param env The environment of the commands; `PATH` and `XDG_RUNTIME_DIR` at least.
 */
export function hostPorts(env: Readonly<Record<string, string>>): HostPorts {
  return {
    async run(argv, signal, stdin) {
      try {
        const input = stdin === undefined ? {} : { stdin };
        return await runCommand(argv, { env, timeoutMs: COMMAND_TIMEOUT_MS, signal, ...input });
      } catch (error) {
        // A missing program, or one that hangs, is an answer too.
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
      await Deno.mkdir(dirname(path), { recursive: true });
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
      if (dirname(path).endsWith(".d")) await Deno.remove(dirname(path)).catch(unlessInUse);
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

async function freeBytes(path: string, signal: AbortSignal): Promise<number> {
  let near = path;
  while ((await stat(near, signal)).kind === "missing" && near !== "/") near = dirname(near);
  const { bavail, bsize } = await statfs(near);
  return bavail * bsize;
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
