/**
 * The release that tests install: what `tools/build.ts` makes of this checkout.
 *
 * @module
 */
import { pack, writeSums } from "../../tools/build/archive.ts";
import { findDenort } from "../../tools/build/denort.ts";
import { archiveName } from "../../tools/build/layout.ts";
import { runOnHost } from "./machine_host.ts";

const CHECKOUT = new URL("../..", import.meta.url).pathname.replace(/\/$/, "");

/** A layout of a release, as `build.json` names it. */
type Layout = "executable" | "shared-runtime";

/**
 * Returns the layout under test, which `CICD_TEST_LAYOUT` sets.
 *
 * @default {"shared-runtime"}
 */
function layoutUnderTest(): Layout {
  const given = Deno.env.get("CICD_TEST_LAYOUT") ?? "shared-runtime";
  if (given === "executable" || given === "shared-runtime") return given;
  throw new TypeError(
    `Cannot test the layout CICD_TEST_LAYOUT="${given}": use executable or shared-runtime`,
  );
}

/** The release that is to be tested instead of a build. */
function givenRelease(): string | undefined {
  return Deno.env.get("CICD_TEST_RELEASE");
}

/** The release to use instead of a build of one's own: another, or the one that all suites share. */
function readyRelease(): string | undefined {
  return givenRelease() ?? Deno.env.get("CICD_TEST_BUILD");
}

/** Says why no executables can be built here without the network, or `undefined` if they can. */
export async function whyNoExecutables(): Promise<string | undefined> {
  if (givenRelease() !== undefined) return "CICD_TEST_RELEASE names another release";
  const found = await findDenort(Deno.version.deno, Deno.build.target, {
    env: (name) => Deno.env.get(name),
    exists: (path) => Deno.stat(path).then((stat) => stat.isFile, () => false),
    host: Deno.build.target,
  });
  return found.kind === "unavailable" || found.kind === "unusable" ? found.reason : undefined;
}

/**
 * Makes the release under test; for tests that only read it.
 *
 * @param stack Takes over what was made.
 * @returns The release's directory.
 */
export async function releaseUnderTest(
  stack: AsyncDisposableStack,
  signal: AbortSignal,
): Promise<string> {
  const ready = readyRelease();
  if (ready !== undefined) return ready;
  const directory = await Deno.makeTempDir({ prefix: "cicd-release-" });
  stack.defer(() => Deno.remove(directory, { recursive: true }));
  // Others than its maker have to see into it.
  await Deno.chmod(directory, 0o755);
  await putRelease(`${directory}/release`, { signal });
  return `${directory}/release`;
}

/** Options for {@linkcode putRelease}. */
interface PutOptions {
  /** `out` followed by `-archive` gets the release's archive. */
  readonly archive?: boolean;
  /** Copies of its launchers find it: it is built in its place. */
  readonly knowsItsPlace?: boolean;
  readonly signal: AbortSignal;
}

/**
 * Puts the release under test into `out`: a build in the layout under test, or a copy of the one that
 * is ready, which is always so if `CICD_TEST_RELEASE` names one.
 */
export async function putRelease(
  out: string,
  { archive = false, knowsItsPlace = false, signal }: PutOptions,
): Promise<void> {
  const ready = knowsItsPlace ? givenRelease() : readyRelease();
  if (ready === undefined) return await build(out, archive ? ["--archive"] : [], signal);
  await runOnHost(["cp", "-a", "--", ready, out], { signal });
  if (!archive) return;
  const [target, outDir] = [Deno.build.target, `${out}-archive`];
  await Deno.mkdir(outDir);
  const { sha256 } = await pack({ releaseDir: out, outDir, target, epochSeconds: 0, signal });
  await writeSums(outDir, new Map([[archiveName(target), sha256]]));
}

async function build(
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
