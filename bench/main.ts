/**
 * `deno task bench`: measures the product and its peers in one run on one machine.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { messageOf } from "@lib/core/errors.ts";
import { whyNoMachines } from "../tests/support/suite.ts";
import { type HostBanner, loadText, readHost, readMachine } from "./host.ts";
import type { Comparison } from "./report.ts";
import {
  isEngineRow,
  isHostRow,
  isMachineRow,
  isRowName,
  ROW_NAMES,
  type RowName,
} from "./rows.ts";
import { Stage } from "./stage.ts";
import { renderReport, type RunReport } from "./table.ts";

const USAGE = `Usage: deno task bench [row…] [options]

  --quick      few samples, to check that it works; not for publication
  --json       print the results as JSON
  --dist DIR   measure this build (default: build the checkout)
  --help

Rows: ${ROW_NAMES.join(", ")}
`;

const ROOT = new URL("..", import.meta.url).pathname.replace(/\/$/, "");

/** Ignored by git. */
const SCRATCH = `${ROOT}/.cache/bench`;

interface Options {
  readonly names: readonly RowName[];
  readonly quick: boolean;
  readonly json: boolean;
  readonly dist: string | undefined;
}

async function bench(options: Options, signal: AbortSignal): Promise<void> {
  const why = options.names.every(isHostRow) ? undefined : await whyNoMachines();
  if (why !== undefined) throw new Error(`Cannot boot a machine for the benchmarks: ${why}`);
  const progress = (text: string) => console.error(`bench: ${text}`);
  progress("build");
  await Deno.mkdir(SCRATCH, { recursive: true });
  const dist = options.dist ?? await build(signal);
  let host: HostBanner = await readHost(await commitOf(signal));
  const rows: Comparison[] = [];
  const skipped: string[] = [];
  const measure = async <Name extends RowName>(
    names: readonly Name[],
    row: (name: Name) => Promise<readonly Comparison[]>,
  ) => {
    for (const name of names) {
      progress(`${name} (load ${loadText()})`);
      try {
        rows.push(...await row(name));
      } catch (error) {
        signal.throwIfAborted();
        progress(messageOf(error));
        skipped.push(`${name}: ${messageOf(error).split("\n", 1)[0]}`);
      }
    }
  };
  const inMachine = options.names.filter(isMachineRow);
  if (inMachine.length > 0) {
    const driver = await bundleDriver(signal);
    await using stage = await Stage.open({ dist, driver, scratch: SCRATCH, progress, signal });
    host = { ...host, ...await readMachine(stage.machine) };
    await measure(inMachine, (name) => stage.measure(name, options));
  }
  const besideEngine = options.names.filter(isEngineRow);
  if (besideEngine.length > 0) {
    progress("container engine");
    const { ENGINE_ROWS } = await import("./engine/rows.ts");
    const { EngineStage } = await import("./engine/stage.ts");
    await using stage = await EngineStage.open({ dist, scratch: SCRATCH, signal });
    host = { ...host, engine: await stage.describe(signal) };
    const { image } = stage;
    const { quick } = options;
    await measure(besideEngine, (name) => {
      const say = (text: string) => progress(`  ${name}: ${text}`);
      return ENGINE_ROWS[name]({ stage, image, quick, say, signal });
    });
  }
  await measure(options.names.filter(isHostRow), async (name) => {
    const say = (text: string) => progress(`  ${name}: ${text}`);
    if (name === "pick") {
      const { measurePick } = await import("./pick_row.ts");
      return await measurePick({ scratch: SCRATCH, quick: options.quick, say });
    }
    const { measureLoop, productDaemon } = await import("./loop/loop_row.ts");
    const daemon = await productDaemon(dist);
    return await measureLoop({ daemon, scratch: SCRATCH, quick: options.quick, say, signal });
  });
  const report = { host: { ...host, load_after: loadText() }, quick: options.quick, rows, skipped };
  const text = renderReport(report);
  const saved = await save(report, text);
  console.log(options.json ? JSON.stringify(report, null, 2) : text);
  progress(`saved as ${saved}.json and .md`);
  if (skipped.length > 0) Deno.exitCode = 1;
}

/** Builds the product: benchmarks never measure the sources. */
async function build(signal: AbortSignal): Promise<string> {
  const out = `${SCRATCH}/dist`;
  await run(["task", "--quiet", "compile", "--out", out], signal);
  return out;
}

/** Bundles the driver into one file, because the machine has no packages. */
async function bundleDriver(signal: AbortSignal): Promise<string> {
  const out = `${SCRATCH}/driver.js`;
  const flags = ["--quiet", "--no-check", "--platform=deno", `--output=${out}`];
  await run(["bundle", ...flags, "bench/driver/main.ts"], signal);
  return out;
}

async function run(args: readonly string[], signal: AbortSignal): Promise<void> {
  const { success } = await new Deno.Command(Deno.execPath(), {
    args: [...args],
    cwd: ROOT,
    stdin: "null",
    stdout: "null",
    stderr: "inherit",
    signal,
  }).output();
  signal.throwIfAborted();
  if (!success) throw new Error(`Cannot build: "deno ${args.join(" ")}" failed`);
}

/** Returns the measured commit, if git knows it. */
async function commitOf(signal: AbortSignal): Promise<string> {
  try {
    const { success, stdout } = await new Deno.Command("git", {
      args: ["-C", ROOT, "describe", "--always", "--dirty"],
      stderr: "null",
      signal,
    }).output();
    return success ? new TextDecoder().decode(stdout).trim() : "unknown";
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "unknown";
    throw error;
  }
}

async function save(report: RunReport, text: string): Promise<string> {
  const directory = `${ROOT}/bench/results`;
  await Deno.mkdir(directory, { recursive: true });
  const path = `${directory}/${new Date().toISOString().replaceAll(/[:.]/g, "-")}`;
  await Deno.writeTextFile(`${path}.json`, `${JSON.stringify(report, null, 2)}\n`);
  await Deno.writeTextFile(`${path}.md`, text);
  return path;
}

function parseOptions(args: readonly string[]): Options | "help" {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      quick: { type: "boolean", default: false },
      json: { type: "boolean", default: false },
      dist: { type: "string" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return "help";
  const unknown = positionals.find((name) => !isRowName(name));
  if (unknown !== undefined) {
    throw new TypeError(`Unknown row "${unknown}": give any of ${ROW_NAMES.join(", ")}`);
  }
  const names = positionals.length > 0 ? positionals.filter(isRowName) : ROW_NAMES;
  return { names, quick: values.quick, json: values.json, dist: values.dist };
}

if (import.meta.main) {
  const stop = new AbortController();
  for (const name of ["SIGINT", "SIGTERM"] as const) {
    Deno.addSignalListener(name, () => stop.abort(new Error(`Interrupted by ${name}`)));
  }
  try {
    const options = parseOptions(Deno.args);
    if (options === "help") console.log(USAGE);
    else await bench(options, stop.signal);
  } catch (error) {
    console.error(`bench: ${messageOf(error)}`);
    Deno.exitCode = error instanceof TypeError ? 64 : 1;
  }
  Deno.exit();
}
