/**
 * The load driver: runs one benchmark inside the machine and prints its
 * comparisons as JSON. Progress goes to stderr.
 *
 * @module
 */
import type { Comparison } from "../report.ts";
import { isMachineRow, type MachineRowName } from "../rows.ts";
import type { Bench } from "./bench.ts";
import { Product } from "./product.ts";

const ROWS: Readonly<Record<MachineRowName, (bench: Bench) => Promise<readonly Comparison[]>>> = {
  start: async (bench) => await (await import("./start_row.ts")).measureStart(bench),
  follow: async (bench) => await (await import("./follow_row.ts")).measureFollow(bench),
  throughput: async (bench) => await (await import("./throughput_row.ts")).measureThroughput(bench),
  terminals: async (bench) => await (await import("./terminals_row.ts")).measureTerminals(bench),
  cold: async (bench) => await (await import("./cold_row.ts")).measureCold(bench),
  memory: async (bench) => await (await import("./memory_row.ts")).measureMemory(bench),
  console: async (bench) => await (await import("./console_row.ts")).measureConsole(bench),
  rate: async (bench) => await (await import("./rate_row.ts")).measureRate(bench),
  cpu: async (bench) => await (await import("./cpu_row.ts")).measureCpu(bench),
  survivors: async (bench) => await (await import("./survivors_row.ts")).measureSurvivors(bench),
  recovery: async (bench) => await (await import("./recovery_row.ts")).measureRecovery(bench),
};

if (import.meta.main) {
  const [name = "", mode] = Deno.args;
  const say = (text: string) => console.error(`  ${name}: ${text}`);
  try {
    // A row starts it, to have its peer in another process.
    if (name === "console-peer") await (await import("./console_row.ts")).runConsole();
    if (!isMachineRow(name)) throw new TypeError(`Unknown row "${name}"`);
    using product = new Product();
    const { signal } = new AbortController();
    await product.reset(signal);
    const comparisons = await ROWS[name]({ product, quick: mode === "--quick", say, signal });
    // Another build is measured next; this one must not be in its way.
    await product.stop();
    console.log(JSON.stringify(comparisons));
  } catch (error) {
    console.error(error);
    Deno.exitCode = 1;
  }
  // Nothing else ends a pending read of a FIFO.
  Deno.exit();
}
