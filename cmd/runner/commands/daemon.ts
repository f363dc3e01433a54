/**
 * `cicd-runner daemon`: the runner itself.
 *
 * @module
 */
import { takePlatform } from "../../shared/platform.ts";
import { wakeAgent } from "../waking_request.ts";

/**
 * Runs the daemon until it is stopped or idle.
 *
 * @returns The exit code.
 * @throws {CicdError} If the service manager has passed what cannot be used.
 */
export async function runDaemon(args: readonly string[]): Promise<number> {
  const platform = takePlatform();
  // A client that was accepted cannot wait for the next runner: it is served before a stop.
  using stops = holdStops();
  const looked = wakeAgent(platform, Deno.env.get("XDG_RUNTIME_DIR"));
  // Loaded only now, while the agent starts.
  const { serve } = await import("../serve.ts");
  return await serve(args, { platform, stops, ...looked });
}

/** Keeps a request to stop from ending the process, until it is disposed of. */
function holdStops(): Disposable & { readonly asked: AbortSignal } {
  const stop = new AbortController();
  const hold = () => stop.abort(ASKED);
  Deno.addSignalListener("SIGTERM", hold);
  return {
    asked: stop.signal,
    [Symbol.dispose]: () => Deno.removeSignalListener("SIGTERM", hold),
  };
}

const ASKED = new DOMException("The runner is to stop", "AbortError");
