/**
 * The executor contract against the service manager of the user who runs this;
 * started by `unit_executor_test.ts` inside a booted machine.
 *
 * @module
 */
import assert from "node:assert/strict";
import { systemClock } from "@lib/core/clock.ts";
import { silentLogger } from "@lib/core/logger.ts";
import { connectUnitManager } from "@lib/executors/unit_manager.ts";
import { UnitExecutor } from "@lib/executors/unit_executor.ts";
import { testExecutorContract } from "../support/executor_contract.ts";

testExecutorContract({
  name: "UnitExecutor",
  create: (project) => {
    const runtimeDir = Deno.env.get("XDG_RUNTIME_DIR");
    assert(runtimeDir !== undefined);
    return Promise.resolve(
      new UnitExecutor({
        project,
        connect: (signal) => connectUnitManager({ XDG_RUNTIME_DIR: runtimeDir }, signal),
        runtimeDir,
        clock: systemClock,
        log: silentLogger,
      }),
    );
  },
});
