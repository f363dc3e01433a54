/**
 * The circumstances of a run, without which its figures mean little.
 *
 * @module
 */
import type { Machine } from "../tests/support/machine.ts";

/** The circumstances of a run as text. */
export type HostBanner = Readonly<Record<string, string>>;

/** Describes the host. */
export async function readHost(commit: string): Promise<HostBanner> {
  const cpus = await Deno.readTextFile("/proc/cpuinfo");
  return {
    date: new Date().toISOString(),
    commit,
    kernel: Deno.osRelease(),
    cpus: `${navigator.hardwareConcurrency} × ${
      /^model name\s*: (.*)$/m.exec(cpus)?.[1] ?? Deno.build.arch
    }`,
    memory: `${Math.round(Deno.systemMemoryInfo().total / 2 ** 30)} GiB`,
    runtime: `deno ${Deno.version.deno}, V8 ${Deno.version.v8}`,
    load_before: loadText(),
  };
}

/** Describes the machine to be measured. */
export async function readMachine(machine: Machine): Promise<HostBanner> {
  const uid = machine.account("dev").uid;
  const group = `/sys/fs/cgroup/user.slice/user-${uid}.slice/user@${uid}.service`;
  const controllers = (await machine.run(["cat", `${group}/cgroup.controllers`])).trim();
  const systemd = await machine.run(["systemctl", "--version"]);
  return {
    systemd: systemd.split("\n", 1)[0] ?? "",
    machine: "container with a systemd of its own (systemd-nspawn), a lingering user",
    limits: ["cpu", "memory", "pids"].every((name) => controllers.split(" ").includes(name))
      ? "enforced: the cpu, memory and pids controllers are delegated to the user"
      : `set but not enforced: of cpu, memory and pids the user's manager has "${controllers}"`,
  };
}

/** The host's load averages over 1, 5 and 15 minutes. */
export function loadText(): string {
  return Deno.loadavg().map((load) => load.toFixed(2)).join(" ");
}
