/**
 * `version`.
 *
 * @module
 */
import { VERSION } from "@lib/core/version.ts";
import { installationPaths, parseBuildInfo } from "@lib/features/install/build_info.ts";
import type { CliContext } from "@lib/api/client/context.ts";

/** Prints the version and what was built. Asks nobody: it works without a runner. */
export async function version({ out, flags }: CliContext): Promise<number> {
  const built = await readBuildInfo();
  const facts = {
    version: VERSION,
    layout: built?.layout ?? "source",
    deno: Deno.version.deno,
    target: built?.target ?? Deno.build.target,
    commit: built?.commit ?? null,
    date: built?.date ?? null,
  };
  if (flags.json) await out.json(facts);
  else {
    const { layout, deno, target, commit, date } = facts;
    const origin = [commit, date].filter((part) => part !== null).join(", ");
    await out.line(`cicd-runner ${VERSION}${origin === "" ? "" : ` (${origin})`}`);
    await out.line(`${layout}, deno ${deno}, ${target}`);
  }
  return 0;
}

async function readBuildInfo() {
  const { libDir } = installationPaths(Deno.execPath(), Deno.mainModule);
  if (libDir === undefined) return undefined;
  try {
    return parseBuildInfo(await Deno.readTextFile(`${libDir}/build.json`));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}
