import assert from "node:assert/strict";
import { bootMachine } from "../support/machine.ts";

const CHECKOUT = "/opt/checkout";
const DENO_DIR = "/opt/deno-dir";

/** Where the packages are that the checkout needs; the machine has no network. */
async function hostDenoDir(): Promise<string> {
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["info", "--json"],
    stderr: "null",
  }).output();
  const info: unknown = JSON.parse(new TextDecoder().decode(stdout));
  assert(typeof info === "object" && info !== null && "denoDir" in info);
  return String(info.denoDir);
}

Deno.test("UnitExecutor keeps the executor contract under a real user manager", async () => {
  await using machine = await bootMachine({
    checkout: CHECKOUT,
    binds: [{ host: await hostDenoDir(), machine: DENO_DIR }],
  });
  const suite = `${CHECKOUT}/tests/system/unit_executor_inside.ts`;
  const done = await machine.exec(
    ["deno", "test", "--allow-all", "--no-check", "--frozen", suite],
    {
      user: "dev",
      cwd: CHECKOUT,
      env: { DENO_DIR, NO_COLOR: "1" },
      timeoutMs: 180_000,
    },
  );
  assert.equal(done.code, 0, done.stdout + done.stderr);
  assert.match(done.stdout, /\| [1-9]\d* passed \| 0 failed/);
});
