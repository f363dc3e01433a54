/**
 * The release that tests install: what `tools/build.ts` makes of this checkout.
 *
 * @module
 */
import { findDenort } from "../../tools/build/denort.ts";
import { runOnHost } from "./machine_host.ts";

const CHECKOUT = new URL("../..", import.meta.url).pathname.replace(/\/$/, "");

/** A layout of a release, as `build.json` names it. */
export type Layout = "executable" | "shared-runtime";

/**
 * Returns the layout under test, which `CICD_TEST_LAYOUT` sets.
 *
 * @default {"shared-runtime"}
 */
export function layoutUnderTest(): Layout {
  const given = Deno.env.get("CICD_TEST_LAYOUT") ?? "shared-runtime";
  if (given === "executable" || given === "shared-runtime") return given;
  throw new TypeError(
    `Cannot test the layout CICD_TEST_LAYOUT="${given}": use executable or shared-runtime`,
  );
}

/** Says why no executables can be built here without the network, or `undefined` if they can. */
export async function whyNoExecutables(): Promise<string | undefined> {
  const found = await findDenort(Deno.version.deno, Deno.build.target, {
    env: (name) => Deno.env.get(name),
    exists: (path) => Deno.stat(path).then((stat) => stat.isFile, () => false),
    host: Deno.build.target,
  });
  return found.kind === "unavailable" || found.kind === "unusable" ? found.reason : undefined;
}

/**
 * Builds a release in the layout under test; `CICD_TEST_RELEASE` names a directory with one that is
 * to be tested instead.
 *
 * @param stack Takes over what was made.
 * @returns The release's directory.
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
  await buildRelease(`${directory}/release`, [], signal);
  return `${directory}/release`;
}

/** Builds a release in the layout under test, with more options of `tools/build.ts`. */
export async function buildRelease(
  out: string,
  options: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  const tool = [`${CHECKOUT}/tools/build.ts`, `--layout=${layoutUnderTest()}`, "--offline"];
  const config = `--config=${CHECKOUT}/deno.json`;
  await runOnHost([Deno.execPath(), "run", "-A", config, ...tool, `--out=${out}`, ...options], {
    signal,
  });
}
