/**
 * All checks, in the order in which they are carried out.
 *
 * @module
 */
import type { Check } from "./check.ts";
import { containerCheck } from "./container_checks.ts";
import { cpuCheck, memoryCheck, tasksCheck, timeoutCheck } from "./job_checks.ts";
import { projectEditCheck, projectMemoryCheck } from "./project_checks.ts";
import { bootCheck, installCheck, survivalCheck } from "./setup_checks.ts";

/** All checks. */
export const CHECKS: readonly Check[] = [
  bootCheck,
  installCheck,
  memoryCheck,
  cpuCheck,
  tasksCheck,
  timeoutCheck,
  projectMemoryCheck,
  projectEditCheck,
  containerCheck,
  survivalCheck,
];
