/**
 * The benchmarks that need a container engine.
 *
 * @module
 */
import type { Comparison } from "../report.ts";
import type { EngineRowName } from "../rows.ts";
import type { EngineBench } from "./bench.ts";
import { measureCheckout } from "./checkout_row.ts";
import { measureContainerLog } from "./container_log_row.ts";
import { measureContainer } from "./container_row.ts";
import { measureHealth } from "./health_row.ts";

/** Runs one benchmark. */
export const ENGINE_ROWS: Readonly<
  Record<EngineRowName, (bench: EngineBench) => Promise<readonly Comparison[]>>
> = {
  container: measureContainer,
  container_log: measureContainerLog,
  checkout: measureCheckout,
  health: measureHealth,
};
