/**
 * Reads the OpenAPI document of a real runner.
 *
 * @module
 */
import { systemClock } from "@lib/core/clock.ts";
import { isNobodyListening } from "@lib/core/errors.ts";
import { UnixClient } from "@lib/foundations/http/unix_client.ts";

/** A JSON object. */
export type Json = Readonly<Record<string, unknown>>;

/** Starts a runner in a directory of its own and reads `/openapi.json`. */
export async function readOpenApi(): Promise<Json> {
  const directory = await Deno.makeTempDir({ prefix: "cicd-docs-" });
  const main = new URL("../../cmd/runner/main.ts", import.meta.url).pathname;
  const socket = `${directory}/runner.sock`;
  const settings = [
    `--state-dir=${directory}/state`,
    `--runtime-dir=${directory}/run`,
    "--agents=child",
  ];
  const runner = new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--allow-all", main, "daemon", `--socket=${socket}`, ...settings],
    env: { CICD_LOG_LEVEL: "warning" },
  }).spawn();
  try {
    using client = new UnixClient(socket);
    const signal = AbortSignal.timeout(60_000);
    for (;;) {
      try {
        using answer = await client.send({ method: "GET", path: "/openapi.json", signal });
        return JSON.parse(await answer.text());
      } catch (error) {
        if (!isNobodyListening(error)) throw error;
        await systemClock.sleep(50, { signal });
      }
    }
  } finally {
    runner.kill("SIGTERM");
    await runner.status;
    await Deno.remove(directory, { recursive: true });
  }
}
