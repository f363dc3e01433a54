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
  const looked = wakeAgent(platform, Deno.env.get("XDG_RUNTIME_DIR"));
  try {
    // Loaded only now, while the agent starts.
    const { serve } = await import("../serve.ts");
    return await serve(args, { platform, ...looked });
  } catch (thrown) {
    const error = toCicdError(thrown);
    if (looked.sockets.length > 0) {
      const { refuseStart } = await import("../refuse_start.ts");
      await refuseStart(error, looked.sockets, platform.setCloseOnExec)
        .catch(ignore("the sockets are closed already; the reason is reported below"));
    }
    throw thrown;
  }
}
