/**
 * The program that runs inside the emulated machine: carries out the checks and tells the host.
 *
 * @module
 */
import { messageOf } from "@lib/core/errors.ts";
import { formatEvent, type VmCheckEvent, type VmEvent } from "../support/vm_report.ts";
import type { Check } from "./check.ts";
import { CHECKS } from "./checks.ts";
import { PAYLOAD, run } from "./guest.ts";

async function main(): Promise<void> {
  const plan: unknown = JSON.parse(await Deno.readTextFile(`${PAYLOAD}/plan.json`));
  const chosen = new Set(
    typeof plan === "object" && plan !== null && "checks" in plan && Array.isArray(plan.checks)
      ? plan.checks.map(String)
      : [],
  );
  for (const check of CHECKS) {
    if (!chosen.has(check.name)) continue;
    tell({ event: "begin", check: check.name });
    const event = await carryOut(check);
    tell(event);
    if (event.problem !== undefined) await tellJournal();
    if (event.problem !== undefined && check.always === true) break;
  }
  tell({ event: "end" });
}

async function carryOut(check: Check): Promise<VmCheckEvent> {
  const begun = performance.now();
  const done = (rest: Pick<VmCheckEvent, "rows" | "problem" | "skipped">): VmCheckEvent => ({
    event: "check",
    check: check.name,
    tookMs: Math.round(performance.now() - begun),
    ...rest,
  });
  try {
    const { rows, skipped } = await check.carryOut((text) => tell({ event: "step", text }));
    return done({ rows: [...rows], ...(skipped === undefined ? {} : { skipped }) });
  } catch (error) {
    return done({ rows: [], problem: messageOf(error) });
  }
}

/** Reports the programs' messages after a failed check. */
async function tellJournal(): Promise<void> {
  const { stdout } = await run(["journalctl", "--user", "--no-pager", "-n", "40", "-o", "cat"]);
  for (const line of stdout.split("\n")) if (line !== "") tell({ event: "step", text: line });
}

function tell(event: VmEvent): void {
  console.log(formatEvent(event));
}

if (import.meta.main) await main();
