/**
 * Checks that a build is what its `build.json` says, by running it.
 *
 * @module
 */
import type { BuildInfo } from "@lib/features/install/build_info.ts";
import { run } from "./run.ts";

/**
 * Runs `cicd-runner version` of a build for this machine and compares.
 *
 * @throws {Error} If it does not run, or is another build.
 */
export async function verifyBuild(
  releaseDir: string,
  info: BuildInfo,
  signal: AbortSignal,
): Promise<void> {
  const cache = await Deno.makeTempDir({ prefix: "cicd-build-" });
  try {
    const text = await run([`${releaseDir}/bin/cicd-runner`, "version", "--json"], {
      env: { CICD_TOOLKIT_CACHE: cache, TMPDIR: cache },
      signal: AbortSignal.any([signal, AbortSignal.timeout(60_000)]),
    });
    const found = parseFacts(text);
    const { version, layout, deno, target, commit = null, date = null } = info;
    for (const [name, wanted] of Object.entries({ version, layout, deno, target, commit, date })) {
      const is: unknown = Reflect.get(found, name);
      if (is === wanted) continue;
      throw new Error(
        `Cannot use this build: its cicd-runner says ${name} ${JSON.stringify(is)}, ` +
          `not ${JSON.stringify(wanted)}`,
      );
    }
  } finally {
    await Deno.remove(cache, { recursive: true });
  }
}

function parseFacts(text: string): object {
  try {
    const facts: unknown = JSON.parse(text);
    return Object(facts);
  } catch (cause) {
    throw new Error(
      `Cannot use this build: "cicd-runner version --json" prints ${JSON.stringify(text)}`,
      { cause },
    );
  }
}
