/**
 * Measures lines per second at a follower that checks every byte.
 *
 * @module
 */
import { ignore } from "@lib/core/errors.ts";
import type { Comparison } from "../report.ts";
import type { Bench } from "./bench.ts";
import { rest } from "./product.ts";
import { launch, listen, script } from "./programs.ts";

/** A program that prints numbered lines of eight bytes. */
interface Printer {
  readonly name: string;
  /** A shell script; its argument is the number of lines. */
  readonly text: string;
  readonly lines: number;
  readonly journalLines: number;
}

const PRINTERS: readonly Printer[] = [
  {
    name: "seq, in blocks",
    text: 'exec seq -f %07.0f "$1"',
    lines: 2_000_000,
    journalLines: 200_000,
  },
  {
    name: "sh, one write per line",
    text:
      'i=10000000 n=$((10000000 + $1)); while [ $i -lt $n ]; do i=$((i+1)); echo "${i#1}"; done',
    lines: 1_000_000,
    journalLines: 200_000,
  },
];

/** Measures a live follower of a job against a live `journalctl -f` of a unit. */
export async function measureThroughput(bench: Bench): Promise<readonly Comparison[]> {
  const { product, quick, say, signal } = bench;
  const rounds = quick ? 2 : 5;
  const comparisons: Comparison[] = [];
  for (const { name, text, ...full } of PRINTERS) {
    const path = await script(text);
    const argv = (lines: number) => ["/bin/sh", path, String(lines)] as const;
    const lines = quick ? full.lines / 4 : full.lines;
    const journalLines = quick ? full.journalLines / 4 : full.journalLines;
    const ours: number[] = [];
    const journal: number[] = [];
    let journalLost = 0;
    for (let round = 0; round < rounds; round++) {
      const begun = performance.now();
      const id = await product.submit({ command: argv(lines) }, signal);
      const log = await product.send("GET", `/v1/jobs/${id}/logs?follow=1`, signal);
      const seen = await countLines(log.body, lines);
      ours.push(lines / (performance.now() - begun) * 1_000);
      if (seen !== lines) throw new Error(`Lost ${lines - seen} of ${lines} lines`);
      await product.ended(id, signal);
      await rest(200, signal);

      const unit = `bench-lines-${Deno.pid}-${name.length}-${round}`;
      await using follower = listen(
        ...["journalctl", "--user", "--follow", "--output=cat", "--no-tail"] as const,
        `_SYSTEMD_USER_UNIT=${unit}.service`,
      );
      await rest(500, signal);
      const start = performance.now();
      const child = launch(
        ...["systemd-run", "--user", "--quiet", "--collect", "--wait"] as const,
        `--unit=${unit}`,
        ...argv(journalLines),
      );
      const ended = child.status.then(() => performance.now());
      const kept = await countLines(quietEnd(follower.stdout, ended), journalLines);
      journalLost += journalLines - kept;
      journal.push(kept / (lastChunkAt - start) * 1_000);
      await ended;
      say(`${name}: round ${round + 1} of ${rounds}`);
    }
    comparisons.push({
      name: `log throughput, ${name}`,
      unit: "lines/s",
      better: "higher",
      target: 400_000,
      ours: { name: `follower over HTTP, ${lines} lines`, samples: ours },
      peers: [{ name: `journald and journalctl -f, ${journalLines} lines`, samples: journal }],
      notes: [
        "from the submission to the last byte at the follower; lost lines: ours 0, the journal " +
        `${journalLost} (without its rate limit)`,
      ],
    });
  }
  return comparisons;
}

/** Silence after which a follower that never ends is taken to be done. */
const QUIET_MS = 3_000;

/** Arrival of the journal's latest chunk. */
let lastChunkAt = 0;

/** Ends with the stream, or once it is silent for a while after the program's end. */
async function* quietEnd(
  stream: ReadableStream<Uint8Array>,
  ended: Promise<number>,
): AsyncGenerator<Uint8Array> {
  const reader = stream.getReader();
  let over = false;
  void ended.then(() => over = true);
  let next = reader.read();
  lastChunkAt = performance.now();
  while (true) {
    const awake = new AbortController();
    const silence = rest(QUIET_MS, awake.signal).then(() => "silence" as const);
    const result = await Promise.race([next, silence]);
    void silence.catch(ignore("data came"));
    awake.abort();
    if (result === "silence") {
      if (over) return;
      continue;
    }
    if (result.done) return;
    lastChunkAt = performance.now();
    yield result.value;
    next = reader.read();
  }
}

/**
 * Counts lines and checks every byte: `0000001`, `0000002` and so on.
 *
 * @returns The number of lines before the end of the stream, at most `wanted`.
 * @throws {Error} If a line is out of order or damaged.
 */
async function countLines(chunks: AsyncIterable<Uint8Array>, wanted: number): Promise<number> {
  const expected = new Uint8Array(8);
  expected[7] = 10;
  let line = 0;
  let at = 8;
  for await (const chunk of chunks) {
    for (const byte of chunk) {
      if (at === 8) {
        line++;
        at = 0;
        for (let digit = 6, rest = line; digit >= 0; digit--, rest = Math.floor(rest / 10)) {
          expected[digit] = 48 + rest % 10;
        }
      }
      if (byte !== expected[at]) {
        const text = new TextDecoder().decode(chunk.subarray(0, 200));
        throw new Error(`Line ${line} differs from what was printed, in "${text}"`);
      }
      at++;
    }
    if (line === wanted && at === 8) return line;
  }
  return at === 8 ? line : line - 1;
}
