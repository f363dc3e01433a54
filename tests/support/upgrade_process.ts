/**
 * Upgrades a stage and kills itself at a given step: `upgrade_process.ts DIRECTORY STEP`.
 *
 * @module
 */
import { upgrade } from "@lib/features/install/upgrade/upgrade.ts";
import { UpgradeStage } from "./upgrade_stage.ts";

if (import.meta.main) {
  const [directory = "", last = ""] = Deno.args;
  const stage = new UpgradeStage(directory);
  let step = 0;
  const ports = stage.ports(() => {
    if (++step === Number(last)) Deno.kill(Deno.pid, "SIGKILL");
  });
  const { kind } = await upgrade(stage.input(), ports);
  console.log(kind, step);
}
