/**
 * Measures how long a program that is not running takes to answer through its socket unit.
 *
 * @module
 */
import type { Comparison } from "../report.ts";
import {
  BARE_SOCKET,
  BARE_UNIT,
  CONFINED,
  CONFINED_FRONT,
  CONFINED_LADEN,
  installPeers,
  LADEN_SOCKET,
  LADEN_UNIT,
  LEAST_SOCKET,
} from "./activated_peers.ts";
import { Fifo } from "./fifo.ts";
import type { Bench } from "./bench.ts";
import { AGENT_UNIT, rest, RUNNER_UNIT } from "./product.ts";
import { systemctl } from "./programs.ts";

/** Measures the runner's first byte, and a first job while runner and agent are not running. */
export async function measureCold(bench: Bench): Promise<readonly Comparison[]> {
  const { product, quick, say, signal } = bench;
  await installPeers();
  using fifo = await Fifo.make();
  const command = ["/bin/sh", "-c", `echo >${fifo.path}`];
  const healthz: number[] = [];
  const job: number[] = [];
  const bare: number[] = [];
  const laden: number[] = [];
  const least: number[] = [];
  const confined: number[] = [];
  const confinedLaden: number[] = [];
  const pair: number[] = [];
  const rounds = quick ? 4 : 20;
  // The very first start fills the caches on disk, which a start after boot finds filled. Ours do so
  // when they are idle.
  for (let round = -1; round < rounds; round++) {
    const peers = [CONFINED, CONFINED_LADEN, CONFINED_FRONT].map(({ unit }) => unit);
    await systemctl("stop", RUNNER_UNIT, AGENT_UNIT, BARE_UNIT, LADEN_UNIT, ...peers);
    await systemctl("reset-failed");
    await rest(300, signal);
    const runner = await firstByte(product.socketPath, "/healthz");
    await rest(300, signal);
    const peer = await firstByte(BARE_SOCKET, "/");
    await rest(300, signal);
    const full = await firstByte(LADEN_SOCKET, "/");
    await rest(300, signal);
    const shell = await firstByte(LEAST_SOCKET, "/");
    await rest(300, signal);
    const bareConfined = await firstByte(CONFINED.socket, "/");
    await rest(300, signal);
    const ladenConfined = await firstByte(CONFINED_LADEN.socket, "/");
    await systemctl("stop", CONFINED_LADEN.unit);
    await rest(300, signal);
    const two = await firstByte(CONFINED_FRONT.socket, "/");
    await product.stop();
    await rest(300, signal);
    const first = fifo.arrival();
    const asked = performance.now();
    const id = await product.submit({ command }, signal);
    const arrived = await first;
    await product.ended(id, signal);
    if (round < 0) {
      await rest(3_000, signal);
      continue;
    }
    healthz.push(runner);
    bare.push(peer);
    laden.push(full);
    least.push(shell);
    confined.push(bareConfined);
    confinedLaden.push(ladenConfined);
    pair.push(two);
    job.push(arrived - asked);
    if (round % 5 === 4) say(`${round + 1} of ${rounds} rounds`);
  }
  return [
    {
      name: "cold start → first byte",
      unit: "ms",
      better: "lower",
      target: 250,
      ours: { name: "GET /healthz, runner not running", samples: healthz },
      peers: [
        { name: "bare Deno server, same runtime, same kind of socket", samples: bare },
        {
          name: "bare server that loads node:crypto and node:fs, and opens SQLite",
          samples: laden,
        },
        { name: "floor: the bare server in the runner's own unit", samples: confined },
        {
          name: "floor: the same with the runner's modules of the runtime, and SQLite",
          samples: confinedLaden,
        },
        { name: "shell script, Accept=yes", samples: least },
      ],
      notes: ["the files are in the page cache, as after any earlier start since boot"],
    },
    {
      name: "cold submit → first instruction",
      unit: "ms",
      better: "lower",
      ours: { name: "runner and agent not running", samples: job },
      peers: [{
        name: "first byte of a bare Deno server (one runtime; ours starts two)",
        samples: bare,
      }, {
        name: "floor: first byte of two such in our units, the first wakes the second at once",
        samples: pair,
      }],
      notes: [],
    },
  ];
}

/** Sends a request on a new connection; returns the milliseconds to the first byte. */
async function firstByte(path: string, target: string): Promise<number> {
  const begun = performance.now();
  using connection = await Deno.connect({ transport: "unix", path });
  const request = `GET ${target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`;
  await connection.write(new TextEncoder().encode(request));
  const count = await connection.read(new Uint8Array(4096));
  if (count === null) throw new Error(`${path} closed the connection without a response`);
  return performance.now() - begun;
}
