/**
 * The VM suite on the command line: `deno task test:vm`.
 *
 * Boots stock Debian in an emulated machine, installs the build for an ordinary
 * user, and shows for every limit what the kernel did and what the job's result
 * says. The last line is `N passed, N failed`, with
 * `, N skipped` if there are any.
 *
 * @module
 */
import process from "node:process";
import { messageOf } from "@lib/core/errors.ts";
import {
  newMachineDirectory,
  removeMachine,
  sweepMachines,
} from "../tests/support/machine_leftovers.ts";
import { machineCache } from "../tests/support/machine_root.ts";
import { whyNoVm } from "../tests/support/vm_host.ts";
import { runVm } from "../tests/support/vm_machine.ts";
import { makePayload } from "../tests/support/vm_payload.ts";
import {
  countRows,
  drawTable,
  type VmCheckEvent,
  type VmEvent,
} from "../tests/support/vm_report.ts";
import { ensureVmRoot } from "../tests/support/vm_root.ts";
import { CHECKS } from "../tests/vm/checks.ts";
import { readFlags } from "./flags.ts";
import { summaryLine } from "./test_counts.ts";

const NAMES = CHECKS.map(({ name }) => name);
const USAGE = `Usage: deno task test:vm [--only NAME]... [--minutes N] [--keep] [--json]

  --only NAME  run only this check, after the installation; may be repeated
               (${NAMES.join(", ")})
  --minutes N  give up after this long (default: 25)
  --keep       keep the disk and the console log, and print their path
  --json       print one JSON document per line
`;

interface Options {
  readonly checks: readonly string[];
  readonly minutes: number;
  readonly keep: boolean;
  readonly json: boolean;
}

async function main(args: readonly string[]): Promise<number> {
  const options = readOptions(args);
  if (options === "help") {
    console.log(USAGE);
    return 0;
  }
  if (options === undefined) {
    console.error(USAGE);
    return 64;
  }
  await new Deno.Command(new URL("../.ci/install_vm_packages.sh", import.meta.url).pathname, {
    stdin: "null",
  }).spawn().status;
  const reason = await whyNoVm();
  if (reason !== undefined) {
    console.log(`\nSKIPPED the VM suite: ${reason}\n`);
    console.log(summaryLine({ passed: 0, failed: 0, skipped: 1 }));
    return 0;
  }
  return await runSuite(options);
}

function readOptions(args: readonly string[]): Options | "help" | undefined {
  try {
    const flags = readFlags(args, {
      switches: ["keep", "json"],
      values: ["minutes"],
      lists: ["only"],
    });
    if (flags.has("help")) return "help";
    const minutes = Number(flags.value("minutes") ?? 25);
    if (!(minutes > 0 && minutes <= 240)) {
      throw new TypeError("--minutes takes a number of minutes up to 240");
    }
    const only = flags.list("only");
    const unknown = only.find((name) => !NAMES.includes(name));
    if (unknown !== undefined) throw new TypeError(`unknown check "${unknown}"`);
    const wanted = CHECKS.filter(({ name, always }) =>
      only.length === 0 || always === true || only.includes(name)
    );
    const checks = wanted.map(({ name }) => name);
    return { checks, minutes, keep: flags.has("keep"), json: flags.has("json") };
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    console.error(error.message);
    return undefined;
  }
}

async function runSuite({ checks, minutes, keep, json }: Options): Promise<number> {
  const started = performance.now();
  const say = (text: string) => {
    const seconds = ((performance.now() - started) / 1_000).toFixed(1).padStart(6);
    if (json) console.log(JSON.stringify({ event: "step", text }));
    else console.log(`[${seconds} s] ${text}`);
  };
  const stop = new AbortController();
  const leave = () => stop.abort(new Error("Interrupted"));
  Deno.addSignalListener("SIGINT", leave);
  Deno.addSignalListener("SIGTERM", leave);
  const late = new Error(`Not finished within ${minutes} minutes`);
  const timer = setTimeout(() => stop.abort(late), minutes * 60_000);
  const { signal } = stop;
  const found: VmCheckEvent[] = [];
  await using stack = new AsyncDisposableStack();
  stack.defer(() => {
    clearTimeout(timer);
    Deno.removeSignalListener("SIGINT", leave);
    Deno.removeSignalListener("SIGTERM", leave);
  });
  try {
    await sweepMachines(signal);
    const root = await ensureVmRoot(signal);
    say("building the release");
    const payload = await makePayload(stack, { root, checks, signal });
    const directory = await newMachineDirectory();
    stack.defer(() => removeMachine(directory, AbortSignal.timeout(60_000)));
    if (keep) stack.defer(async () => say(`kept ${await keepDirectory(directory)}`));
    say("making the disks and booting");
    for await (const event of runVm({ directory, root, payload, signal })) {
      if (event.event === "check") found.push(event);
      if (json) console.log(JSON.stringify(event));
      else for (const line of describe(event)) say(line);
    }
  } catch (error) {
    console.error(messageOf(error));
  }
  const counts = countRows(checks, found);
  if (json) {
    console.log(JSON.stringify({ event: "counts", ...counts }));
  } else {
    console.log(`\n${drawTable(found)}\n`);
    console.log(`${((performance.now() - started) / 1_000).toFixed(0)} s`);
  }
  console.log(summaryLine(counts));
  return counts.failed === 0 ? 0 : 1;
}

function describe(event: VmEvent): readonly string[] {
  switch (event.event) {
    case "begin":
      return [`${event.check} …`];
    case "step":
      return [`  ${event.text}`];
    case "check": {
      const { check, rows, problem, skipped, tookMs } = event;
      const held = rows.every(({ ok }) => ok) && problem === undefined;
      const took = `(${(tookMs / 1_000).toFixed(1)} s)`;
      return [
        ...rows.filter(({ ok }) => !ok).map((row) =>
          `  FAILED ${row.limit}, ${row.set}: ${row.kernel}; ${row.result}`
        ),
        ...(problem === undefined ? [] : [`  FAILED ${problem}`]),
        ...(skipped === undefined ? [] : [`  SKIPPED ${skipped}`]),
        `${check}: ${held ? "ok" : "FAILED"} ${took}`,
      ];
    }
    case "end":
      return ["turning off"];
  }
}

/** Moves disk and console log to where no later run removes them. */
async function keepDirectory(
  directory: Awaited<ReturnType<typeof newMachineDirectory>>,
): Promise<string> {
  const kept = `${machineCache()}/kept/${directory.name}`;
  await Deno.mkdir(kept, { recursive: true });
  for (const name of ["disk.img", "console"]) {
    // The machine may have failed before creating it.
    await Deno.rename(`${directory.path}/${name}`, `${kept}/${name}`).catch((error: unknown) => {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    });
  }
  return kept;
}

if (import.meta.main) process.exitCode = await main(Deno.args);
