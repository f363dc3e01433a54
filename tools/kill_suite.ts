/**
 * The kill suite on the command line: `deno task test:kill -- --kills 200`.
 *
 * Boots a machine with a real systemd, so it needs what the system tests need.
 * Exits with 1 if a job is lost, runs twice, or has the wrong log or exit code.
 *
 * @module
 */
import process from "node:process";
import { type KillReport, runKills } from "../tests/support/kill_engine.ts";
import { MOMENTS, VICTIMS } from "../tests/support/kill_plan.ts";
import { whyNoMachines } from "../tests/support/suite.ts";
import { readFlags } from "./flags.ts";

const USAGE = `Usage: deno task test:kill -- [--kills N] [--seed N] [--verbose]

  --kills N  number of kills (default: 200)
  --seed N   seed of the plan of kills (default: 1)
  --verbose  report every kill
`;

async function main(args: readonly string[]): Promise<number> {
  const flags = readFlags(args, { switches: ["verbose"], values: ["kills", "seed"] });
  if (flags.has("help")) {
    console.log(USAGE);
    return 0;
  }
  const kills = Number(flags.value("kills") ?? 200);
  const seed = Number(flags.value("seed") ?? 1);
  if (!Number.isInteger(kills) || kills < 1 || !Number.isInteger(seed)) {
    console.error(USAGE);
    return 64;
  }
  const reason = await whyNoMachines();
  if (reason !== undefined) {
    console.error(`Cannot run the kill suite: ${reason}`);
    return 69;
  }
  const started = performance.now();
  let reported = 0;
  const report = await runKills({
    kills,
    seed,
    signal: new AbortController().signal,
    onRound(round, tookMs, state) {
      if (flags.has("verbose")) console.log(`${round} (${tookMs.toFixed(0)} ms)`);
      for (const problem of state.problems.slice(reported)) console.error(`PROBLEM ${problem}`);
      reported = state.problems.length;
      if (state.kills % 10 === 0) console.log(`${state.kills}/${kills} kills, ${state.jobs} jobs`);
    },
  });
  console.log(table(report));
  console.log(`seed ${seed}, ${((performance.now() - started) / 1_000).toFixed(1)} s`);
  return report.problems.length === 0 ? 0 : 1;
}

function table(report: KillReport): string {
  const killsOf = (victim: string, moment: string) =>
    report.counts.find((count) => count.victim === victim && count.moment === moment)?.kills ?? 0;
  const row = (cells: readonly (string | number)[]) =>
    cells.map((cell, index) => index === 0 ? String(cell).padEnd(10) : String(cell).padStart(9))
      .join("");
  return [
    "",
    row(["kills of", ...MOMENTS, "all"]),
    ...VICTIMS.map((victim) => {
      const kills = MOMENTS.map((moment) => killsOf(victim, moment));
      return row([victim, ...kills, kills.reduce((sum, n) => sum + n, 0)]);
    }),
    "",
    `kills ${report.kills}, jobs ${report.jobs}, lost ${report.lost}, doubled ${report.doubled}, ` +
    `logs broken ${report.brokenLogs}, exit codes wrong ${report.wrongExitCodes}`,
    `${report.downWithManager} jobs were killed with the user manager and settled as such`,
    ...report.problems.map((problem) => `PROBLEM ${problem}`),
  ].join("\n");
}

if (import.meta.main) process.exitCode = await main(Deno.args);
