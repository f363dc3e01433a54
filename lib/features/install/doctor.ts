/**
 * Finds out why the suite does not work on a machine, or will not for long.
 *
 * @module
 */
import { type DoctorReport, doctorReport } from "@lib/features/install/checks.ts";
import type { DoctorFacts } from "@lib/features/install/facts.ts";
import { type DoctorPorts, gatherFacts } from "@lib/features/install/gather.ts";
import { judgeFiles } from "@lib/features/install/judge_files.ts";
import { judgeRunner } from "@lib/features/install/judge_runner.ts";
import { judgeTools } from "@lib/features/install/judge_tools.ts";
import { judgeSystemd } from "@lib/features/install/judge_systemd.ts";
import { judgeUnits } from "@lib/features/install/judge_units.ts";

/** Judges the facts; touches nothing. */
export function judge(facts: DoctorFacts): DoctorReport {
  return doctorReport([
    ...judgeSystemd(facts),
    ...judgeFiles(facts),
    ...judgeUnits(facts),
    judgeRunner(facts),
    ...judgeTools(facts),
  ]);
}

/**
 * Examines this machine; changes nothing on it.
 *
 * What cannot be found out is reported as skipped.
 *
 * @throws The signal's reason if the signal aborts.
 */
export async function runDoctor(ports: DoctorPorts, signal: AbortSignal): Promise<DoctorReport> {
  return judge(await gatherFacts(ports, signal));
}
