/**
 * Removes files that jobs made as other users in a container, through the engine.
 *
 * @module
 */
import { CicdError } from "@lib/core/errors.ts";
import type { Engine } from "@lib/foundations/docker/engine.ts";
import { runAsEngineRoot } from "@lib/features/containers/engine_helper.ts";

const TARGET = "/cicd-remove";

/**
 * Removes a directory as root of the engine. Only its parent is mounted, and `rm` follows no link
 * in it.
 *
 * @throws {CicdError} `io_failed` if something remains.
 */
export async function removeForeign(
  engine: Engine,
  path: string,
  options: { readonly stateDir: string; readonly signal: AbortSignal },
): Promise<void> {
  const slash = path.lastIndexOf("/");
  const argv = ["/bin/rm", "-rf", "--", `${TARGET}/${path.slice(slash + 1)}`];
  const code = await runAsEngineRoot(engine, argv, {
    ...options,
    purpose: "remove",
    mounts: [{ source: path.slice(0, slash), target: TARGET }],
    capabilities: ["DAC_OVERRIDE", "FOWNER"],
  });
  if (code !== 0) {
    throw new CicdError("io_failed", `Cannot remove "${path}": rm ended with ${code} there`);
  }
}
