/**
 * Measures a release: its size, and a daemon from its start to the first byte of an answer.
 *
 * @module
 */
import { run } from "../../tools/build/run.ts";
import { rest } from "../driver/product.ts";

/** A start, from the launch of the program to the first byte that a client receives. */
export interface Start {
  readonly firstByteMs: number;
  /** Of the daemon until then; the kernel counts in ticks of 10 ms. */
  readonly cpuMs: number;
  /** Resident after the answer, with the pages of its files. */
  readonly residentBytes: number;
}

/** A measured release. */
export interface Measured {
  /** All of its files. */
  readonly bytes: number;
  /** Its archive. */
  readonly packedBytes: number;
  /** With a cache that has nothing; its first start in an account. */
  readonly cold: readonly Start[];
  readonly warm: readonly Start[];
}

const DEADLINE_MS = 30_000;
/** A start writes the cache, and the next one may add to it. */
const WARMING_STARTS = 2;
const MS_PER_TICK = 10;

/** Returns the bytes of all files of a directory. */
export async function sizeOf(directory: string): Promise<number> {
  let bytes = 0;
  for await (const { name, isDirectory, isFile } of Deno.readDir(directory)) {
    const path = `${directory}/${name}`;
    if (isDirectory) bytes += await sizeOf(path);
    else if (isFile) bytes += (await Deno.stat(path)).size;
  }
  return bytes;
}

/** Starts the daemon of a release in a new directory, `rounds` times cold and warm. */
export async function measureStarts(
  release: string,
  { scratch, rounds, signal }: {
    readonly scratch: string;
    readonly rounds: number;
    readonly signal: AbortSignal;
  },
): Promise<Pick<Measured, "cold" | "warm">> {
  const [cold, warm]: [Start[], Start[]] = [[], []];
  for (let round = 0; round < rounds; round++) {
    const directory = await Deno.makeTempDir({ dir: scratch, prefix: "start-" });
    try {
      cold.push(await startOnce(release, directory, signal));
      for (let more = 1; more < WARMING_STARTS; more++) {
        await startOnce(release, directory, signal);
      }
      warm.push(await startOnce(release, directory, signal));
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  }
  return { cold, warm };
}

async function startOnce(release: string, directory: string, signal: AbortSignal): Promise<Start> {
  const socket = `${directory}/r.sock`;
  await run(["mkdir", "-p", "-m", "700", `${directory}/cache`, `${directory}/tmp`], { signal });
  const begun = performance.now();
  const daemon = new Deno.Command(`${release}/bin/cicd-runner`, {
    args: [
      "daemon",
      `--socket=${socket}`,
      `--state-dir=${directory}/state`,
      `--runtime-dir=${directory}/run`,
      "--log-level=error",
    ],
    clearEnv: true,
    env: {
      PATH: "/usr/bin:/bin",
      HOME: directory,
      CICD_TOOLKIT_CACHE: `${directory}/cache`,
      TMPDIR: `${directory}/tmp`,
    },
    stdin: "null",
    stdout: "null",
    stderr: "inherit",
  }).spawn();
  try {
    await firstByte(socket, AbortSignal.any([signal, AbortSignal.timeout(DEADLINE_MS)]));
    const firstByteMs = performance.now() - begun;
    return { firstByteMs, ...await usageOf(daemon.pid) };
  } finally {
    daemon.kill("SIGTERM");
    await daemon.status;
  }
}

async function firstByte(path: string, signal: AbortSignal): Promise<void> {
  const request = new TextEncoder().encode("GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n");
  while (true) {
    try {
      using connection = await Deno.connect({ transport: "unix", path });
      await connection.write(request);
      if (await connection.read(new Uint8Array(1)) === 1) return;
    } catch (error) {
      const isEarly = error instanceof Deno.errors.NotFound ||
        error instanceof Deno.errors.ConnectionRefused;
      if (!isEarly) throw error;
    }
    await rest(1, signal);
  }
}

async function usageOf(pid: number): Promise<Pick<Start, "cpuMs" | "residentBytes">> {
  const [stat, status] = await Promise.all(
    ["stat", "status"].map((name) => Deno.readTextFile(`/proc/${pid}/${name}`)),
  );
  const fields = stat?.slice(stat.lastIndexOf(")") + 2).split(" ") ?? [];
  const ticks = Number(fields[11]) + Number(fields[12]);
  const kilobytes = Number(/^VmRSS:\s+(\d+) kB$/m.exec(status ?? "")?.[1]);
  return { cpuMs: ticks * MS_PER_TICK, residentBytes: kilobytes * 1_024 };
}
