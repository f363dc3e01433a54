/**
 * Counts the processes of a hostile job that survive its cancel.
 *
 * @module
 */
import type { Comparison } from "../report.ts";
import { Fifo } from "./fifo.ts";
import type { Bench } from "./bench.ts";
import { rest } from "./product.ts";
import { launch, run, script, systemctl } from "./programs.ts";

/** A plain child, one in a session of its own, and one that ignores SIGTERM. */
const HOSTILE = `
sleep "$1" &
setsid sleep "$1" &
(trap '' TERM; exec sleep "$1") &
sleep 0.1
echo >"$2"
wait`;

/** Between SIGTERM and SIGKILL, for contenders that send both. */
const GRACE_S = 1;
/** Wait after the cancel. */
const SETTLE_MS = 500;

/** Measures the product's cancel against other ways to end a job. */
export async function measureSurvivors(bench: Bench): Promise<readonly Comparison[]> {
  const { product, quick, say, signal } = bench;
  const path = await script(HOSTILE);
  using fifo = await Fifo.make();
  const rounds = quick ? 2 : 6;
  let tag = 100_000;
  const cancelMs: number[] = [];

  const ours = async (argv: readonly [string, ...string[]]) => {
    const begun = fifo.arrival();
    const id = await product.submit({ command: argv, grace: `${GRACE_S}s` }, signal);
    await begun;
    const asked = performance.now();
    await product.ask("POST", `/v1/jobs/${id}/cancel`, signal);
    await product.ended(id, signal);
    cancelMs.push(performance.now() - asked);
  };
  const timeout = async (argv: readonly [string, ...string[]]) => {
    const begun = fifo.arrival();
    const child = launch("timeout", "-k", String(GRACE_S), "1", ...argv);
    await begun;
    await child.status;
  };
  const mainOnly = async (argv: readonly [string, ...string[]]) => {
    const begun = fifo.arrival();
    const child = launch(...argv);
    await begun;
    child.kill("SIGTERM");
    await child.status;
    await rest(GRACE_S * 1_000, signal);
  };
  const keptUnit = async (argv: readonly [string, ...string[]]) => {
    const begun = fifo.arrival();
    const unit = `bench-hostile-${tag}`;
    await run(
      ...["systemd-run", "--user", "--quiet", "--collect", `--unit=${unit}`] as const,
      ...["--property=KillMode=process", `--property=TimeoutStopSec=${GRACE_S}`, ...argv],
    );
    await begun;
    await systemctl("stop", unit);
  };

  const contenders = [
    { name: "POST /v1/jobs/ID/cancel, grace 1 s", cancel: ours },
    { name: "unit with KillMode=process, stopped", cancel: keptUnit },
    { name: "timeout -k 1", cancel: timeout },
    { name: "SIGTERM to the main process", cancel: mainOnly },
  ];
  const left = contenders.map((): number[] => []);
  for (let round = 0; round < rounds; round++) {
    for (const [at, { cancel }] of contenders.entries()) {
      tag++;
      await cancel(["/bin/sh", path, String(tag), fifo.path]);
      await rest(SETTLE_MS, signal);
      left[at]?.push(await sweep(tag));
    }
    say(`round ${round + 1} of ${rounds}`);
  }
  const [samples = [], ...others] = left;
  return [
    {
      name: "survivors of a hostile job",
      unit: "of 3 processes",
      better: "lower",
      target: 0,
      ours: { name: contenders[0]?.name ?? "", samples },
      peers: others.map((samples, at) => ({ name: contenders[at + 1]?.name ?? "", samples })),
      notes: [
        `counted ${SETTLE_MS} ms after the end; maximum of all rounds, ours: ${
          Math.max(...samples)
        }`,
      ],
    },
    {
      name: "cancel → job ended",
      unit: "ms",
      better: "lower",
      target: 1_200,
      ours: { name: "with a process that ignores SIGTERM", samples: cancelMs },
      peers: [],
      notes: ["grace 1 s; while no agent is alive, systemd ends it after 2 s"],
    },
  ];
}

/** Counts the surviving processes of a round and kills them. */
async function sweep(tag: number): Promise<number> {
  let count = 0;
  for await (const { name } of Deno.readDir("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const line = await Deno.readTextFile(`/proc/${name}/cmdline`).catch(() => "");
    if (line !== `sleep\0${tag}\0`) continue;
    count++;
    Deno.kill(Number(name), "SIGKILL");
  }
  return count;
}
