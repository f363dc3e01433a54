/**
 * An emulated machine: one run from power on to power off.
 *
 * Emulated in software, as hardly any machine that runs tests can nest
 * virtualisation; so everything in it is slow, most of all V8.
 *
 * @module
 */
import { readLines } from "@lib/core/lines.ts";
import { readIfThere, runOnHost } from "./machine_host.ts";
import type { MachineDirectory } from "./machine_leftovers.ts";
import type { VmRoot } from "./vm_root.ts";
import { parseEvent, type VmEvent } from "./vm_report.ts";

/** Options for {@linkcode runVm}. */
export interface VmOptions {
  /** Takes the disks; `disk.img` stays until the directory is removed. */
  readonly directory: MachineDirectory;
  readonly root: VmRoot;
  /** A directory of the host that the machine sees, read-only, as {@linkcode VM_PAYLOAD}. */
  readonly payload: string;
  /** Cuts the power. */
  readonly signal: AbortSignal;
}

/** Large enough for the images and containers of the checks; sparse. */
const DISK_SIZE = "4G";
const MEMORY_MIB = 3_072;
const LINE_MAX_BYTES = 256 * 1024;

/**
 * Boots the machine and yields what its checks tell, until it turns itself off.
 *
 * @throws {Error} If it cannot be emulated, or goes down without a word of its end; the end of
 * the console is in the message.
 */
export async function* runVm(options: VmOptions): AsyncGenerator<VmEvent, void, undefined> {
  const { directory, root, payload, signal } = options;
  await Deno.mkdir(directory.path, { recursive: true });
  const disk = `${directory.path}/disk.img`;
  const payloadDisk = `${directory.path}/payload.img`;
  await makeDisk(disk, root.path, DISK_SIZE, signal);
  await makeDisk(payloadDisk, payload, "1G", signal);
  const child = new Deno.Command("setpriv", {
    // The machine never outlives us, however we end.
    args: ["--pdeathsig=KILL", "--", ...emulator(options, { disk, payloadDisk })],
    stdin: "null",
    stdout: "piped",
    stderr: "null",
    signal,
  }).spawn();
  let ended = false;
  try {
    for await (const line of readLines(child.stdout, { maxBytes: LINE_MAX_BYTES })) {
      const event = parseEvent(line);
      if (event === undefined) continue;
      if (event.event === "end") ended = true;
      yield event;
    }
  } finally {
    if (signal.aborted || !ended) kill(child);
    await child.status;
  }
  signal.throwIfAborted();
  if (!ended) {
    throw new Error(`The machine went down in the middle\n${await consoleEnd(directory)}`);
  }
}

/** The last of what the machine printed on its console. */
export async function consoleEnd(directory: MachineDirectory): Promise<string> {
  return (await readIfThere(directory.console))?.slice(-6_000) ?? "";
}

function emulator(
  { directory, root }: VmOptions,
  { disk, payloadDisk }: { readonly disk: string; readonly payloadDisk: string },
): readonly string[] {
  // What is written is gone with the machine, so nothing waits for the host's disk.
  const drive = (file: string) => `if=virtio,format=raw,cache=unsafe,file=${file}`;
  return [
    "qemu-system-x86_64",
    ...["-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", `${MEMORY_MIB}`],
    ...["-display", "none", "-monitor", "none", "-parallel", "none", "-nic", "none", "-no-reboot"],
    ...["-serial", `file:${directory.console}`, "-serial", "stdio"],
    ...["-kernel", root.kernel, "-initrd", root.initrd],
    "-append",
    "console=ttyS0 quiet mitigations=off systemd.show_status=false panic=-1",
    ...["-drive", drive(disk), "-drive", `${drive(payloadDisk)},readonly=on`],
  ];
}

async function makeDisk(
  path: string,
  content: string,
  size: string,
  signal: AbortSignal,
): Promise<void> {
  const argv = ["mke2fs", "-q", "-t", "ext4", "-d", content, path, size];
  await runOnHost(argv, {
    env: { PATH: `${Deno.env.get("PATH") ?? ""}:/usr/sbin:/sbin` },
    signal,
  });
}

function kill(child: Deno.ChildProcess): void {
  try {
    child.kill("SIGKILL");
  } catch (error) {
    // It has ended meanwhile.
    if (!(error instanceof TypeError)) throw error;
  }
}
