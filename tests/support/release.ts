/**
 * The release that tests install: what `tools/build.ts` makes of this checkout.
 *
 * @module
 */
import { runOnHost } from "./machine_host.ts";

const CHECKOUT = new URL("../..", import.meta.url).pathname.replace(/\/$/, "");

/**
 * Builds a release; `CICD_TEST_RELEASE` names a directory with one that is to be tested instead.
 *
 * @param stack Takes over what was made.
 * @returns The release's directory, in the layout with one runtime for both programs.
 */
export async function releaseUnderTest(
  stack: AsyncDisposableStack,
  signal: AbortSignal,
): Promise<string> {
  const given = Deno.env.get("CICD_TEST_RELEASE");
  if (given !== undefined) return given;
  const directory = await Deno.makeTempDir({ prefix: "cicd-release-" });
  stack.defer(() => Deno.remove(directory, { recursive: true }));
  // Others than its maker have to see into it.
  await Deno.chmod(directory, 0o755);
  const out = `${directory}/release`;
  const tool = [`${CHECKOUT}/tools/build.ts`, "--layout=shared-runtime", "--offline"];
  const config = `--config=${CHECKOUT}/deno.json`;
  await runOnHost([Deno.execPath(), "run", "-A", config, ...tool, `--out=${out}`], { signal });
  return out;
}
