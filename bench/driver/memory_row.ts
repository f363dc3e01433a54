/**
 * Measures the programs' memory: idle, after work, and per running job.
 *
 * @module
 */
import type { Comparison } from "../report.ts";
import { BARE_SOCKET, BARE_UNIT, installPeers } from "./activated_peers.ts";
import type { Bench } from "./bench.ts";
import { AGENT_UNIT, rest, RUNNER_UNIT } from "./product.ts";
import { run, systemctl } from "./programs.ts";
import { weigh, weighProcess, type Weight } from "./unit_figures.ts";

const MIB = 1024;
/** The number of jobs that run at once. */
const JOBS = 8;
const DONE_JOBS = 500;
/** After which what jobs left is to be given back. */
const IDLE_MS = 60_000;

/** Measures the runner and the agent against a bare server on the same runtime. */
export async function measureMemory(bench: Bench): Promise<readonly Comparison[]> {
  const { product, quick, say, signal } = bench;
  await installPeers();
  const rounds = quick ? 1 : 3;
  const idle: Record<"runner" | "agent" | "bare", Weight[]> = { runner: [], agent: [], bare: [] };
  const worked: Record<"runner" | "agent", Weight[]> = { runner: [], agent: [] };
  const rested: Record<"runner" | "agent", Weight[]> = { runner: [], agent: [] };
  const perJob: number[] = [];
  const perUnit: number[] = [];
  for (let round = 0; round < rounds; round++) {
    await product.stop();
    await product.ended(await product.submit({ command: ["/bin/true"] }, signal), signal);
    await systemctl("restart", BARE_UNIT);
    using connection = await Deno.connect({ transport: "unix", path: BARE_SOCKET });
    await connection.write(new TextEncoder().encode("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    await connection.read(new Uint8Array(4096));
    await rest(3_000, signal);
    idle.runner.push(await weigh(RUNNER_UNIT));
    idle.agent.push(await weigh(AGENT_UNIT));
    idle.bare.push(await weigh(BARE_UNIT));
    say("idle weighed");

    const ids: string[] = [];
    for (let count = 0; count < DONE_JOBS; count++) {
      ids.push(await product.submit({ command: ["/bin/true"] }, signal));
    }
    for (const id of ids) await product.ended(id, signal);
    await rest(3_000, signal);
    worked.runner.push(await weigh(RUNNER_UNIT));
    worked.agent.push(await weigh(AGENT_UNIT));
    say(`weighed after ${DONE_JOBS} jobs`);
    // A minute is long; two of them show it.
    if (round < 2) {
      await rest(quick ? IDLE_MS / 10 : IDLE_MS, signal);
      rested.runner.push(await weigh(RUNNER_UNIT));
      rested.agent.push(await weigh(AGENT_UNIT));
      say("weighed a minute later");
    }

    perJob.push(await weighJobs(bench));
    perUnit.push(await weighUnits(bench));
    say("running jobs weighed");
  }
  const rss = (weights: readonly Weight[]) => weights.map(({ rssKiB }) => rssKiB / MIB);
  const pss = (weights: readonly Weight[]) => weights.map(({ pssKiB }) => pssKiB / MIB);
  const own = (weights: readonly Weight[]) => weights.map(({ ownKiB }) => ownKiB / MIB);
  const bare = "bare Deno server on the same runtime";
  const both = idle.runner.map((runner, at) =>
    (runner.pssKiB + (idle.agent[at]?.pssKiB ?? 0)) / MIB
  );
  return [
    {
      name: "runner, idle RSS",
      unit: "MiB",
      better: "lower",
      target: 55,
      ours: { name: "cicd-runner", samples: rss(idle.runner) },
      peers: [{ name: bare, samples: rss(idle.bare) }],
      notes: [
        "RSS includes the runtime's file pages, which all its programs share; PSS divides them",
      ],
    },
    {
      name: "agent, idle RSS",
      unit: "MiB",
      better: "lower",
      target: 50,
      ours: { name: "cicd-agent", samples: rss(idle.agent) },
      peers: [{ name: bare, samples: rss(idle.bare) }],
      notes: [],
    },
    {
      name: "runner and agent together, idle PSS",
      unit: "MiB",
      better: "lower",
      ours: { name: "cicd-runner + cicd-agent", samples: both },
      peers: [{ name: `${bare}, next to both`, samples: pss(idle.bare) }],
      notes: ["after the idle timeout both exit and need nothing"],
    },
    {
      name: "runner, idle, private pages",
      unit: "MiB",
      better: "lower",
      ours: { name: "cicd-runner, Private_Dirty", samples: own(idle.runner) },
      peers: [{ name: bare, samples: own(idle.bare) }],
      notes: ["the cost of one more such process"],
    },
    {
      name: "agent, idle, private pages",
      unit: "MiB",
      better: "lower",
      ours: { name: "cicd-agent, Private_Dirty", samples: own(idle.agent) },
      peers: [{ name: bare, samples: own(idle.bare) }],
      notes: [],
    },
    {
      name: `runner after ${DONE_JOBS} jobs, RSS`,
      unit: "MiB",
      better: "lower",
      ours: { name: "cicd-runner", samples: rss(worked.runner) },
      peers: [],
      notes: [],
    },
    {
      name: `agent after ${DONE_JOBS} jobs, RSS`,
      unit: "MiB",
      better: "lower",
      ours: { name: "cicd-agent", samples: rss(worked.agent) },
      peers: [],
      notes: [],
    },
    ...(["runner", "agent"] as const).map((program): Comparison => ({
      name: `${program} a minute after ${DONE_JOBS} jobs, private pages`,
      unit: "MiB",
      better: "lower",
      ours: { name: `cicd-${program}, Private_Dirty`, samples: own(rested[program]) },
      peers: [{ name: "ours, idle after its start", samples: own(idle[program]) }],
      notes: [],
    })),
    {
      name: "per running job, PSS",
      unit: "KiB",
      better: "lower",
      ours: { name: "runner + agent + service manager", samples: perJob },
      peers: [{ name: "systemd-run --no-block: service manager alone", samples: perUnit }],
      notes: [`the difference that ${JOBS} sleeping jobs make, excluding the jobs themselves`],
    },
  ];
}

/** Returns what each of our jobs adds to both programs and the manager. */
async function weighJobs({ product, signal }: Bench): Promise<number> {
  const total = async () =>
    (await weigh(RUNNER_UNIT)).pssKiB + (await weigh(AGENT_UNIT)).pssKiB + await weighManager();
  const before = await total();
  const ids: string[] = [];
  for (let count = 0; count < JOBS; count++) {
    ids.push(await product.submit({ command: ["/bin/sleep", "1000"], grace: "1s" }, signal));
  }
  await rest(3_000, signal);
  const after = await total();
  for (const id of ids) await product.ask("POST", `/v1/jobs/${id}/cancel`, signal);
  for (const id of ids) await product.ended(id, signal);
  return (after - before) / JOBS;
}

async function weighUnits({ signal }: Bench): Promise<number> {
  const before = await weighManager();
  for (let count = 0; count < JOBS; count++) {
    await run(
      ...["systemd-run", "--user", "--no-block", "--collect", "--quiet"] as const,
      ...[`--unit=bench-sleep-${count}`, "/bin/sleep", "1000"],
    );
  }
  await rest(3_000, signal);
  const after = await weighManager();
  await systemctl("stop", "bench-sleep-*.service");
  return (after - before) / JOBS;
}

/** Weighs the user's service manager: the parent of every unit's main process. */
async function weighManager(): Promise<number> {
  const runner = await systemctl("show", "--property=MainPID", "--value", RUNNER_UNIT);
  const status = await Deno.readTextFile(`/proc/${runner}/status`);
  return (await weighProcess(/^PPid:\t(\d+)$/m.exec(status)?.[1] ?? "")).pssKiB;
}
