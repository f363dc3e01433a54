import { systemClock } from "@lib/core/clock.ts";
import { DirectExecutor } from "@lib/executors/direct_executor.ts";
import { testExecutorContract } from "../support/executor_contract.ts";

testExecutorContract({
  name: "DirectExecutor",
  create: () => Promise.resolve(new DirectExecutor({ clock: systemClock })),
});
