/**
 * `cicd-runner daemon`: the runner itself.
 *
 * @module
 */
import { ignore, toCicdError } from "@lib/core/errors.ts";
import { takePlatform } from "../../shared/platform.ts";
import { wakeAgent } from "../waking_request.ts";

/**
 * Runs the daemon until it is stopped or idle.
 *
 * @returns The exit code.
 * @throws {CicdError} If it cannot start.
 */
export async function runDaemon(args: readonly string[]): Promise<number> {
  const platform = takePlatform();
  // A client that was accepted cannot wait for the next runner: it is served before a stop.
  using stops = holdStops();
  const looked = wakeAgent(platform, Deno.env.get("XDG_RUNTIME_DIR"));
  try {
    // Loaded only now, while the agent starts.
    const { serve } = await import("../serve.ts");
    return await serve(args, { platform, stopAsked: stops.asked, ...looked });
  } catch (thrown) {
    stops[Symbol.dispose]();
    const error = toCicdError(thrown);
    if (looked.sockets.length > 0) {
      const { refuseStart } = await import("../refuse_start.ts");
      await refuseStart(error, looked.sockets, platform.setCloseOnExec)
        .catch(ignore("the sockets are closed already; the reason is reported below"));
    }
    throw thrown;
  }
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
