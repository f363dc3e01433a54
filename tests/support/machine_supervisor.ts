/**
 * The container behind a test machine: `systemd-nspawn` and what it starts.
 *
 * @module
 */
import { findInit, killProcess, readIfThere } from "./machine_host.ts";
import type { MachineDirectory } from "./machine_leftovers.ts";
import { waitFor } from "./machine_wait.ts";

/** Something of the host that a machine sees. */
export interface MachineBind {
  readonly host: string;
  /** Absolute path inside the machine. */
  readonly machine: string;
  /** @default {false} */
  readonly writable?: boolean;
}

/** A container that is up, though its systemd may still be starting. */
export interface Supervised {
  /** The machine's first process, as the host numbers it. */
  readonly initPid: number;
  /** The cgroup v2 directory that is the machine's top. */
  readonly cgroup: string;
  readonly child: Deno.ChildProcess;
}

/** Options for {@linkcode supervise}. */
export interface SuperviseOptions {
  readonly binds: readonly MachineBind[];
  readonly signal: AbortSignal;
}

/** Time an orderly shutdown may take before the power is cut. */
const SHUTDOWN_MAX_MS = 20_000;

/** Boots the root of `directory`, which must be mounted. */
export async function supervise(
  directory: MachineDirectory,
  { binds, signal }: SuperviseOptions,
): Promise<Supervised> {
  const mount = await cgroupMount();
  if (mount === undefined) throw new Error("Cannot boot a machine: there is no cgroup v2");
  // Where systemd runs the host, it gives the container a scope. Elsewhere all
  // containers would meet in the same cgroup, so each gets one of its own.
  const managed = await Deno.stat("/run/systemd/system").then(() => true, () => false);
  const group = `${mount}/${directory.name}`;
  if (!managed) await Deno.mkdir(group, { recursive: true });
  const enter = managed ? ":" : 'echo 0 >"$1/cgroup.procs"';
  const child = new Deno.Command("/bin/sh", {
    args: [
      ...["-c", `exec >>"$2" 2>&1; ${enter} || exit 1; shift 2; exec setsid "$@"`, "boot"],
      ...[group, directory.console],
      ...["systemd-nspawn", "--quiet", "--boot", "--register=no"],
      ...(managed ? [] : ["--keep-unit"]),
      ...[`--machine=${directory.name}`, `--directory=${directory.root}`],
      ...["--private-network", "--resolv-conf=off", "--timezone=off", "--link-journal=no"],
      ...["--settings=no", "--console=pipe"],
      ...binds.map(({ host, machine, writable = false }) =>
        `--bind${writable ? "" : "-ro"}=${escapePath(host)}:${escapePath(machine)}`
      ),
    ],
    env: { SYSTEMD_NSPAWN_UNIFIED_HIERARCHY: "1" },
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  let ended = false;
  void child.status.then(() => ended = true);
  const found = async () => {
    const initPid = await findInit(child.pid);
    const cgroup = initPid === undefined ? undefined : await topCgroup(initPid, mount);
    if (initPid !== undefined && cgroup !== undefined) return { initPid, cgroup, child };
    return ended ? "ended" : undefined;
  };
  const result = await waitFor("the first process", found, { timeoutMs: 30_000, signal });
  if (result === "ended") throw new Error("Cannot boot a machine: the container ended at once");
  return result;
}

/** Ends a container; its disk stays as it is at that moment, or after an orderly shutdown. */
export async function halt(
  { child, initPid }: Supervised,
  how: "orderly" | "power_cut",
): Promise<void> {
  // Asked to end, the supervisor lets systemd shut down.
  if (how === "orderly") killProcess(child.pid, "SIGTERM");
  const timer = setTimeout(
    () => killProcess(initPid, "SIGKILL"),
    how === "orderly" ? SHUTDOWN_MAX_MS : 0,
  );
  try {
    await child.status;
  } finally {
    clearTimeout(timer);
  }
}

/** Where the cgroup v2 hierarchy is mounted, or `undefined`. */
export async function cgroupMount(): Promise<string | undefined> {
  const mounts = await Deno.readTextFile("/proc/self/mountinfo");
  for (const line of mounts.split("\n")) {
    const [before = "", after = ""] = line.split(" - ");
    if (after.startsWith("cgroup2 ")) return before.split(" ")[4];
  }
  return undefined;
}

/** The machine's top, once its systemd has moved itself from there into `init.scope`. */
async function topCgroup(initPid: number, mount: string): Promise<string | undefined> {
  const groups = await readIfThere(`/proc/${initPid}/cgroup`) ?? "";
  const path = /^0::(.*)\/init\.scope$/m.exec(groups)?.[1];
  return path === undefined ? undefined : `${mount}${path}`;
}

function escapePath(path: string): string {
  return path.replace(/[\\:]/g, (character) => `\\${character}`);
}
