/**
 * Measures how soon a follower sees a line that a running job prints.
 *
 * @module
 */
import type { Comparison } from "../report.ts";
import { toLines } from "../text_lines.ts";
import { Fifo } from "./fifo.ts";
import type { Bench } from "./bench.ts";
import { rest } from "./product.ts";
import { listen, run, script, systemctl } from "./programs.ts";

/** Prints the lines of a FIFO, its argument. */
const ECHO = 'while read -r line; do echo "$line"; done <"$1"';

/** Measures a kept HTTP follower against `journalctl -f` and `tail -F`. */
export async function measureFollow(bench: Bench): Promise<readonly Comparison[]> {
  const { product, quick, say, signal } = bench;
  using oursIn = await Fifo.make();
  using journalIn = await Fifo.make();
  using tailIn = await Fifo.make();

  const echo = await script(ECHO);

  const id = await product.submit({ command: ["/bin/sh", echo, oursIn.path] }, signal);
  const log = await product.send("GET", `/v1/jobs/${id}/logs?follow=1`, signal);
  const ours = new Contender(oursIn, ReadableStream.from(log.body));

  const journalUnit = `bench-journal-${Deno.pid}`;
  await startUnit(journalUnit, [], ["/bin/sh", echo, journalIn.path]);
  await using journalctl = listen(
    ...["journalctl", "--user", "--follow", "--output=cat", "--no-tail"] as const,
    `--unit=${journalUnit}`,
  );
  const journal = new Contender(journalIn, journalctl.stdout);

  const tailUnit = `bench-tail-${Deno.pid}`;
  const file = `${tailIn.path}.log`;
  await startUnit(tailUnit, [`--property=StandardOutput=append:${file}`], [
    "/bin/sh",
    echo,
    tailIn.path,
  ]);
  await using tailing = listen("tail", "-n", "+1", "-F", file);
  const tail = new Contender(tailIn, tailing.stdout);

  const rounds = quick ? 20 : 150;
  for (const contender of [ours, journal, tail]) await contender.warmUp(signal);
  for (let round = 0; round < rounds; round++) {
    // An uneven rhythm, so as not to match anybody's timer.
    await rest(20 + (round * 37) % 60, signal);
    await ours.measure(`line ${round}`);
    await tail.measure(`line ${round}`);
    // It is slow and steady: a third of the rounds is enough.
    if (round % 3 === 0) await journal.measure(`line ${round}`);
    if (round % 50 === 49) say(`${round + 1} of ${rounds} rounds`);
  }
  await product.ask("POST", `/v1/jobs/${id}/cancel`, signal);
  await systemctl("stop", journalUnit, tailUnit);
  return [{
    name: "line printed → follower has it",
    unit: "ms",
    better: "lower",
    target: 5,
    ours: { name: "GET /v1/jobs/ID/logs?follow=1", samples: ours.samples },
    peers: [
      { name: "journalctl --user -f", samples: journal.samples },
      { name: "tail -F on the unit's own file", samples: tail.samples },
    ],
    notes: [
      "from before the line is sent to the job through a FIFO until the driver reads it from the follower",
      "`tail -F` neither masks secrets nor uses HTTP: it is the floor",
    ],
  }];
}

/** One job with its follower. */
class Contender {
  readonly samples: number[] = [];
  readonly #fifo: Fifo;
  readonly #lines: ReadableStreamDefaultReader<string>;

  constructor(fifo: Fifo, output: ReadableStream<Uint8Array>) {
    this.#fifo = fifo;
    this.#lines = output.pipeThrough(toLines()).getReader();
  }

  /** Sends lines until one comes back, because the follower may miss the first ones. */
  async warmUp(signal: AbortSignal): Promise<void> {
    let seen = false;
    const reading = this.#until("last").then(() => seen = true);
    while (!seen) {
      this.#fifo.send("last");
      await Promise.race([reading, rest(700, signal)]);
    }
    this.#fifo.send("settled");
    await this.#until("settled");
  }

  async measure(text: string): Promise<void> {
    const sentAt = this.#fifo.send(text);
    await this.#until(text);
    this.samples.push(performance.now() - sentAt);
  }

  async #until(text: string): Promise<void> {
    while (true) {
      const { done, value } = await this.#lines.read();
      if (done) throw new Error(`The follower ended before "${text}"`);
      if (value === text) return;
    }
  }
}

async function startUnit(
  name: string,
  flags: readonly string[],
  argv: readonly [string, ...string[]],
): Promise<void> {
  await run("systemd-run", "--user", "--quiet", "--collect", `--unit=${name}`, ...flags, ...argv);
}
