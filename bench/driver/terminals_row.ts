/**
 * Measures terminals over WebSocket: their start, their echo, and a slow viewer.
 *
 * @module
 */
import { raceAbort, withDeadline } from "@lib/core/abort.ts";
import type { Comparison, Series } from "../report.ts";
import type { Bench } from "./bench.ts";
import { AGENT_UNIT, PROJECT, rest, RUNNER_UNIT } from "./product.ts";
import { run, script, systemctl } from "./programs.ts";
import {
  productTerminals,
  type TerminalClient,
  type TerminalServer,
  wettyTerminals,
} from "./terminal_client.ts";
import { counterOf, groupOf, managerGroup, timeIn, weigh } from "./unit_figures.ts";
import { startWetty, WETTY_UNIT } from "./wetty_unit.ts";

const PORT = 39_180;
const MANY = 50;
/** Printed at the start; then a number of bytes can be asked for. */
const READY = "ready";
const PROGRAM =
  `printf ${READY}; read -r bytes; stty -onlcr; yes 'a line of sixty-four bytes that fills a terminal of common width' | head -c "$bytes"`;
/** What the slow viewer takes in a second. */
const SLOW_BYTES_PER_S = 12_500_000;
const MIB = 1024;
const TAIL_MS = 300;
const ROW_MS = 180_000;

/** A server of terminals, with what it spends and weighs. */
interface Contender {
  readonly name: string;
  readonly server: TerminalServer;
  /** Who spends time for it, and the files that count it. */
  readonly counters: Readonly<Record<string, string>>;
  /** Its programs, whose memory is weighed. */
  readonly units: readonly string[];
  readonly connect: number[];
  readonly connectMany: number[];
  readonly echo: number[];
  readonly echoMany: number[];
  /** Of each program. */
  readonly grown: number[];
  /** Bytes of the output to a slow viewer that did not come. */
  readonly lost: number[];
  readonly spent: Record<string, number>[];
}

/** Measures the product's terminals and wetty's, in turns. */
export async function measureTerminals(given: Bench): Promise<readonly Comparison[]> {
  using deadline = withDeadline(given.signal, ROW_MS, "the row");
  const bench = { ...given, signal: deadline };
  const { product, quick, say, signal } = bench;
  const path = await script(PROGRAM);
  await using wetty = await startWetty(path, signal);
  await using _listener = await listenOnLoopback(bench);
  const key = (await run(
    `${Deno.env.get("HOME")}/.local/bin/cicd-runner`,
    ...["keys", "create", "--name", "bench", "--scope", "terminal", "--project", PROJECT],
  )).trim();
  await product.ended(await product.submit({ command: ["/bin/true"] }, signal), signal);
  const query = new URLSearchParams({ command: path, columns: "80", rows: "24" });
  const ours = await contender("cicd-toolkit", {
    server: productTerminals({
      origin: `http://127.0.0.1:${PORT}`,
      path: `/v1/projects/${PROJECT}/terminal?${query}`,
      key,
    }),
    groups: {
      "runner": await groupOf(RUNNER_UNIT),
      "agent": await groupOf(AGENT_UNIT),
      "systemd --user": await managerGroup(RUNNER_UNIT),
      "programs": await groupOf(`cicd-${PROJECT}.slice`),
    },
    units: [RUNNER_UNIT, AGENT_UNIT],
  });
  const contenders = [ours];
  if (wetty === undefined) say("WITHOUT ITS PEER: wetty is not installed");
  else {
    const groups = { "wetty and programs": await groupOf(WETTY_UNIT) };
    const server = wettyTerminals(wetty.origin);
    contenders.push(await contender("wetty 3.2.0", { server, groups, units: [WETTY_UNIT] }));
  }

  const turns = quick ? 2 : 5;
  for (let turn = -1; turn < turns; turn++) {
    for (const one of turn % 2 === 0 ? contenders : contenders.toReversed()) {
      await rest(TAIL_MS, signal);
      // The first turn warms up.
      await takeTurn(turn < 0 ? { ...one, connect: [], echo: [], spent: [] } : one, bench);
    }
    if (turn >= 0) say(`turn ${turn + 1} of ${turns}`);
  }
  for (const one of contenders) await openMany(one, bench);
  say(`${MANY} sessions at once`);
  for (const one of contenders) await showSlowly(one, bench);
  say("output to a slow viewer");
  return compare(ours, contenders.slice(1), quick);
}

async function contender(
  name: string,
  { server, groups, units }: {
    readonly server: TerminalServer;
    readonly groups: Readonly<Record<string, string>>;
    readonly units: readonly string[];
  },
): Promise<Contender> {
  const counters = Object.fromEntries(
    Object.entries(groups).map(([who, group]) => [who, counterOf(group)]),
  );
  await Promise.all(Object.values(counters).map(timeIn));
  return {
    ...{ name, server, counters, units, connect: [], connectMany: [] },
    ...{ echo: [], echoMany: [], grown: [], lost: [], spent: [] },
  };
}

/** Opens terminals one after the other, and types into the last one. */
async function takeTurn(one: Contender, { quick, signal }: Bench): Promise<void> {
  const opened = quick ? 5 : 10;
  const keys = quick ? 50 : 200;
  const before = await timesOf(one);
  for (let count = 0; count < opened; count++) {
    using client = await open(one, one.connect, signal);
    await client.end();
  }
  await rest(TAIL_MS, signal);
  const after = await timesOf(one);
  one.spent.push(Object.fromEntries(
    Object.keys(after).map((who) => [
      who,
      ((after[who] ?? NaN) - (before[who] ?? NaN)) / 1_000 / opened,
    ]),
  ));
  using client = await open(one, [], signal);
  await typeKeys(client, keys, one.echo);
  await client.end();
}

/** Opens many terminals at once and types into all of them at once. */
async function openMany(one: Contender, { quick, signal }: Bench): Promise<void> {
  await rest(TAIL_MS, signal);
  const clients = await Promise.all(
    Array.from({ length: MANY }, () => open(one, one.connectMany, signal)),
  );
  await rest(TAIL_MS, signal);
  await Promise.all(clients.map((client) => typeKeys(client, quick ? 10 : 50, one.echoMany)));
  await Promise.all(clients.map((client) => client.end()));
  for (const client of clients) client[Symbol.dispose]();
}

/** Prints much to a viewer that takes it slowly. */
async function showSlowly(one: Contender, { quick, signal }: Bench): Promise<void> {
  const bytes = quick ? 20_000_000 : 100_000_000;
  await rest(TAIL_MS, signal);
  const slowly = (count: number) => rest(count / SLOW_BYTES_PER_S * 1_000, signal);
  using client = await open(one, [], signal, slowly);
  const before = await weightsOf(one);
  let most = before;
  const typed = `${bytes}\n`;
  await client.type(typed);
  const over = client.ended.then(() => true);
  while (!await Promise.race([over, rest(200, signal).then(() => false)])) {
    const now = await weightsOf(one);
    most = most.map((weight, at) => Math.max(weight, now[at] ?? 0));
  }
  one.grown.push(...most.map((weight, at) => (weight - (before[at] ?? NaN)) / MIB));
  // What follows the word that it has ended.
  await rest(TAIL_MS, signal);
  // Its echo comes with a carriage return.
  one.lost.push(READY.length + typed.length + 1 + bytes - client.bytes);
}

/** Opens a terminal; the time to its first output goes to `samples`. */
async function open(
  { server }: Contender,
  samples: number[],
  signal: AbortSignal,
  take?: (bytes: number) => Promise<void>,
): Promise<TerminalClient> {
  const begun = performance.now();
  const client = await server.open(signal, take);
  await raceAbort(client.until(1), signal);
  samples.push(performance.now() - begun);
  await raceAbort(client.until(READY.length), signal);
  return client;
}

/** Types keys, each when the one before has come back. */
async function typeKeys(client: TerminalClient, keys: number, samples: number[]): Promise<void> {
  for (let count = 0; count < keys; count++) {
    const echoed = client.until(client.bytes + 1);
    const begun = performance.now();
    await client.type("x");
    await echoed;
    samples.push(performance.now() - begun);
  }
}

async function timesOf({ counters }: Contender): Promise<Readonly<Record<string, number>>> {
  const entries = Object.entries(counters).map(async ([who, counter]) =>
    [who, await timeIn(counter)] as const
  );
  return Object.fromEntries(await Promise.all(entries));
}

/** KiB of each of its programs. */
async function weightsOf({ units }: Contender): Promise<readonly number[]> {
  return (await Promise.all(units.map(weigh))).map(({ rssKiB }) => rssKiB);
}

function compare(
  ours: Contender,
  others: readonly Contender[],
  quick: boolean,
): readonly Comparison[] {
  const all = [ours, ...others];
  const without = others.length === 0 ? ["wetty could not be installed, and is missing"] : [];
  const row = (
    name: string,
    of: (one: Contender) => readonly number[],
    more: Partial<Comparison> = {},
  ): Comparison => {
    const series = (one: Contender): Series => ({ name: one.name, samples: of(one) });
    return {
      name: `terminal: ${name}`,
      unit: "ms",
      better: "lower",
      ours: series(ours),
      peers: others.map(series),
      notes: [...without, ...(more.notes ?? [])],
      ...(more.unit === undefined ? {} : { unit: more.unit }),
      ...(more.target === undefined ? {} : { target: more.target }),
    };
  };
  const p99 = (of: (one: Contender) => readonly number[]) =>
    `p99: ${all.map((one) => `${one.name} ${lastHundredth(of(one)).toFixed(2)} ms`).join(", ")}`;
  const sum = (spent: Readonly<Record<string, number>>) =>
    Object.values(spent).reduce((total, part) => total + part, 0);
  const parts = Object.keys(ours.counters).map((who) => {
    const each = ours.spent.map((spent) => spent[who] ?? NaN).toSorted((a, b) => a - b);
    return `${who} ${(each[Math.floor(each.length / 2)] ?? NaN).toFixed(1)}`;
  });
  const lost = all.map((one) => `${one.name} ${one.lost.join(", ")}`).join(", ");
  const megabytes = quick ? 20 : 100;
  return [
    row("connect", ({ connect }) => connect, {
      target: 10,
      notes: ["from the TCP connection to the program's first byte; ours is a unit with limits"],
    }),
    row("connect and end, CPU", ({ spent }) => spent.map(sum), {
      notes: [`ours, ms: ${parts.join(", ")}`],
    }),
    row("echo of a key", ({ echo }) => echo, { target: 0.6, notes: [p99(({ echo }) => echo)] }),
    row(`connect, ${MANY} at once`, ({ connectMany }) => connectMany),
    row(`echo of a key, ${MANY} sessions at once`, ({ echoMany }) => echoMany, {
      notes: [p99(({ echoMany }) => echoMany)],
    }),
    ...["runner", "agent"].map((program, at) =>
      row(`growth of the ${program} while ${megabytes} MB go to a slow viewer`, ({ grown }) => {
        return [grown[at] ?? grown[0] ?? NaN];
      }, {
        unit: "MiB",
        target: 48,
        notes: [`the most that its RSS exceeded that before; lost bytes: ${lost}`],
      })
    ),
  ];
}

function lastHundredth(samples: readonly number[]): number {
  return samples.toSorted((a, b) => a - b)[Math.floor(samples.length * 0.99)] ?? NaN;
}

/** Lets the product listen on loopback, as browsers need it; disposing takes that back. */
async function listenOnLoopback({ product, signal }: Bench): Promise<AsyncDisposable> {
  const file = `${Deno.env.get("HOME")}/.config/cicd-toolkit/config.yaml`;
  const before = await Deno.readTextFile(file);
  const listen = `listen: { address: "127.0.0.1:${PORT}", requests_per_minute: 1000000 }\n`;
  await Deno.writeTextFile(file, before + listen);
  await product.stop();
  await product.idle(signal);
  return {
    async [Symbol.asyncDispose]() {
      await Deno.writeTextFile(file, before);
      await systemctl("stop", RUNNER_UNIT);
    },
  };
}
