/**
 * `deno task bench`: measures the product and its peers in one run on one machine.
 *
 * @module
 */
import { messageOf } from "@lib/core/errors.ts";
import { whyNoMachines } from "../tests/support/suite.ts";
import { readFlags } from "../tools/flags.ts";
import { writeDocument } from "./document.ts";
import { loadText, readHost } from "./host.ts";
import { isEngineRow, isHostRow, isRowName, ROW_NAMES, type RowName } from "./rows.ts";
import { runBenchmarks } from "./run.ts";
import { renderReport, type RunReport } from "./table.ts";
import { installWetty } from "./wetty.ts";

const USAGE = `Usage: deno task bench [row…] [options]

  --quick        few samples, to check that it works; not for publication
  --json         print the results as JSON
  --dist DIR     measure this build (default: build the checkout)
  --before DIR   measure this earlier build too, row by row in turns
  --write        put the results into docs/benchmarks.md: all rows, or timeline alone
  --from FILE    take the results of a saved run (JSON) instead of measuring
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
  readonly write: boolean;
  readonly dist: string | undefined;
  readonly before: string | undefined;
  readonly from: string | undefined;
}

async function bench(options: Options, signal: AbortSignal): Promise<void> {
  const { from, json, write } = options;
  const report: RunReport = from === undefined
    ? await measure(options, signal)
    : JSON.parse(await Deno.readTextFile(from));
  console.log(json ? JSON.stringify(report, null, 2) : renderReport(report));
  if (write) await writeDocument(ROOT, report);
  if (report.failed > 0) Deno.exitCode = 1;
}

async function measure(options: Options, signal: AbortSignal): Promise<RunReport> {
  const { names, quick } = options;
  const inMachine = names.some((name) => !isHostRow(name) && !isEngineRow(name));
  const why = names.every(isHostRow) ? undefined : await whyNoMachines();
  if (why !== undefined) throw new Error(`Cannot boot a machine for the benchmarks: ${why}`);
  const progress = (text: string) => console.error(`bench: ${text}`);
  progress("build");
  await Deno.mkdir(SCRATCH, { recursive: true });
  const host = await readHost(await commitOf(signal));
  const { before, ...result } = await runBenchmarks({
    names,
    quick,
    now: options.dist ?? await build(signal),
    before: options.before,
    driver: inMachine ? await bundleDriver(signal) : "",
    wetty: names.includes("terminals")
      ? await installWetty({ scratch: SCRATCH, progress, signal })
      : undefined,
    scratch: SCRATCH,
    progress,
    signal,
  });
  const report: RunReport = {
    ...result,
    host: { ...host, ...result.host, load_after: loadText() },
    quick,
    names,
    ...(options.before === undefined ? {} : { before }),
  };
  progress(`saved as ${await save(report)}.json and .md`);
  return report;
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

async function save(report: RunReport): Promise<string> {
  const directory = `${ROOT}/bench/results`;
  await Deno.mkdir(directory, { recursive: true });
  const path = `${directory}/${new Date().toISOString().replaceAll(/[:.]/g, "-")}`;
  await Deno.writeTextFile(`${path}.json`, `${JSON.stringify(report, null, 2)}\n`);
  await Deno.writeTextFile(`${path}.md`, renderReport(report));
  return path;
}

function parseOptions(args: readonly string[]): Options | "help" {
  const flags = readFlags(args, {
    switches: ["quick", "json", "write"],
    values: ["dist", "before", "from"],
    words: true,
  });
  if (flags.has("help")) return "help";
  const { words } = flags;
  const unknown = words.find((name) => !isRowName(name));
  if (unknown !== undefined) {
    throw new TypeError(`Unknown row "${unknown}": give any of ${ROW_NAMES.join(", ")}`);
  }
  return {
    names: words.length > 0 ? words.filter(isRowName) : ROW_NAMES,
    quick: flags.has("quick"),
    json: flags.has("json"),
    write: flags.has("write"),
    dist: flags.value("dist"),
    before: flags.value("before"),
    from: flags.value("from"),
  };
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
