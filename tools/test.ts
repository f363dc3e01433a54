/**
 * Runs the test suites, each as a process with its own permissions. The integration suite takes as
 * long as all others together: those run beside it, and their output follows when each has ended.
 *
 * Usage: `test.ts [SUITE…] [-- DENO_TEST_ARGUMENT…]`; without a suite, runs all.
 * Installs what the suites need first. The last line is `N passed, N failed` over
 * all suites, with `, N skipped` if there are any; what failed stands before it.
 *
 * @module
 */
import process from "node:process";
import { whyNoEngine } from "../tests/support/docker_engine.ts";
import { whyNoExecutables } from "../tests/support/release.ts";
import { whyNoMachines } from "../tests/support/suite.ts";
import { addCounts, type Counts, NO_TESTS, readJunit, summaryLine } from "./test_counts.ts";

/** As `tools/build.ts` names it. */
type Layout = "shared-runtime" | "executable";

/** Tests with the same permissions. */
interface Suite {
  readonly name: string;
  /** Runs beside the integration suite. */
  readonly isBeside?: boolean;
  /** Arguments of `deno test` that choose the tests. @default {[`tests/${name}/`]} */
  readonly tests?: readonly string[];
  /** The layout of the release that its tests install. */
  readonly layout?: Layout;
  readonly permissions: readonly string[];
  readonly timeoutMs: number;
  /** Returns why the suite cannot run on this host, whatever is installed, or `undefined`. */
  readonly whyNever?: () => Promise<string | undefined>;
  /** Returns why the suite cannot run on this host, or `undefined`. */
  readonly whyNot?: () => Promise<string | undefined>;
}

const MINUTE_MS = 60_000;

const SUITES: readonly Suite[] = [
  { name: "unit", isBeside: true, permissions: ["--no-prompt"], timeoutMs: 10 * MINUTE_MS },
  {
    name: "integration",
    tests: ["--ignore=tests/integration/tools/", "tests/integration/"],
    layout: "shared-runtime",
    permissions: ["--allow-all"],
    timeoutMs: 30 * MINUTE_MS,
  },
  {
    name: "tools",
    isBeside: true,
    tests: ["tests/integration/tools/"],
    layout: "shared-runtime",
    permissions: ["--allow-all"],
    timeoutMs: 20 * MINUTE_MS,
  },
  {
    name: "container",
    isBeside: true,
    layout: "shared-runtime",
    permissions: ["--allow-all"],
    timeoutMs: 20 * MINUTE_MS,
    whyNot: whyNoEngine,
  },
  {
    name: "system",
    isBeside: true,
    layout: "shared-runtime",
    permissions: ["--allow-all"],
    timeoutMs: 40 * MINUTE_MS,
    whyNot: whyNoMachines,
  },
  {
    // What installs a release, once more with executables.
    name: "compiled",
    isBeside: true,
    tests: [
      "--ignore=tests/system/harness_test.ts,tests/system/unit_executor_test.ts",
      "tests/system/",
      "tests/container/deployment_test.ts",
    ],
    layout: "executable",
    permissions: ["--allow-all"],
    timeoutMs: 40 * MINUTE_MS,
    whyNever: whyNoExecutables,
    whyNot: async () => await whyNoMachines() ?? await whyNoEngine(),
  },
];

const PROJECT = new URL("..", import.meta.url).pathname;

async function main(args: readonly string[]): Promise<number> {
  const end = args.indexOf("--");
  const names = end === -1 ? args : args.slice(0, end);
  const passedOn = end === -1 ? [] : args.slice(end + 1);
  const known = SUITES.map(({ name }) => name);
  const unknown = names.find((name) => !known.includes(name));
  if (unknown !== undefined) {
    console.error(`unknown suite "${unknown}"; use ${known.join(", ")}`);
    return 64;
  }
  const chosen = SUITES.filter(({ name }) => names.length === 0 || names.includes(name));
  await setUp(chosen);
  await using releases = new Releases();
  const beside = chosen.filter(({ isBeside }) => isBeside === true);
  const first = chosen.filter((suite) => !beside.includes(suite));
  const lanes = await Promise.all([
    runSuites(first, { passedOn, releases, output: "shown" }),
    runSuites(beside, {
      passedOn,
      releases,
      output: first.length > 0 ? "kept" : "shown",
    }),
  ]);
  const total = lanes.reduce(addCounts);
  for (const failure of total.failures) console.log(`FAILED ${failure}`);
  console.log(summaryLine(total));
  return total.failed === 0 ? 0 : 1;
}

async function setUp(chosen: readonly Suite[]): Promise<void> {
  const installed = await run([Deno.execPath(), "install", "--frozen", "--quiet"]);
  if (installed !== 0) throw new Error("Cannot install the dependencies of deno.lock");
  const needy = await Promise.all(
    chosen.map(async ({ whyNot, whyNever }) =>
      whyNot !== undefined && await whyNever?.() === undefined
    ),
  );
  if (Deno.build.os === "linux" && needy.includes(true)) {
    // It reports failures itself; the suite is then skipped.
    await run([`${PROJECT}.ci/install_system_packages.sh`]);
  }
}

/** Runs suites one after the other. */
async function runSuites(suites: readonly Suite[], options: RunOptions): Promise<Counts> {
  let total = NO_TESTS;
  for (const suite of suites) total = addCounts(total, await runSuite(suite, options));
  return total;
}

/** The releases that tests install, each built once, as that takes as long as many a test. */
class Releases implements AsyncDisposable {
  readonly #built = new Map<Layout, Promise<string | undefined>>();
  readonly #stack = new AsyncDisposableStack();

  /** Returns what makes tests install the release in this layout. */
  async env(layout: Layout): Promise<Readonly<Record<string, string>>> {
    if (Deno.env.has("CICD_TEST_RELEASE")) return {};
    const built = this.#built.get(layout) ?? this.#build(layout);
    this.#built.set(layout, built);
    const directory = await built;
    // Without one, each test builds its own, and fails with the reason.
    const shared = directory === undefined ? {} : { CICD_TEST_BUILD: directory };
    return { CICD_TEST_LAYOUT: layout, ...shared };
  }

  async #build(layout: Layout): Promise<string | undefined> {
    const directory = await Deno.makeTempDir({ prefix: "cicd-release-" });
    this.#stack.defer(() => Deno.remove(directory, { recursive: true }));
    // Others than its maker have to see into it.
    await Deno.chmod(directory, 0o755);
    const out = `${directory}/release`;
    const options = [`--layout=${layout}`, "--offline", `--out=${out}`];
    const signal = AbortSignal.timeout(5 * MINUTE_MS);
    const argv = [Deno.execPath(), "run", "--allow-all", "--quiet", "tools/build.ts", ...options];
    return await run(argv, { signal }) === 0 ? out : undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}

interface RunOptions {
  /** Arguments of `deno test`. */
  readonly passedOn: readonly string[];
  readonly releases: Releases;
  readonly output: Output;
}

/** `kept`: printed when the suite has ended, so that no two are mixed. */
type Output = "shown" | "kept";

async function runSuite(
  suite: Suite,
  { passedOn, releases, output }: RunOptions,
): Promise<Counts> {
  const { name, tests = [`tests/${name}/`], layout, permissions, timeoutMs } = suite;
  const reason = await suite.whyNever?.() ?? await suite.whyNot?.();
  if (reason !== undefined) {
    console.log(`\nSKIPPED ${name} suite: ${reason}\n`);
    return { ...NO_TESTS, skipped: 1 };
  }
  if (output === "shown") console.log(`\n== ${name} suite`);
  const directory = await Deno.makeTempDir({ prefix: "cicd-test-" });
  const started = performance.now();
  try {
    const junit = `${directory}/junit.xml`;
    const args = ["test", ...permissions, `--junit-path=${junit}`, ...passedOn, ...tests];
    const kept = output === "kept" ? `${directory}/output` : undefined;
    const env = layout === undefined ? {} : await releases.env(layout);
    const signal = AbortSignal.timeout(timeoutMs);
    const code = await run([Deno.execPath(), ...args], { signal, kept, env });
    if (kept !== undefined) console.log(`\n== ${name} suite\n${await Deno.readTextFile(kept)}`);
    const counts = readJunit(await Deno.readTextFile(junit).catch(() => ""));
    const seconds = ((performance.now() - started) / 1_000).toFixed(1);
    console.log(`== ${name} suite: ${summaryLine(counts)} (${seconds} s)`);
    if (counts.failed > 0) return counts;
    // A file that does not load, or a killed run, leaves no failed test.
    if (code !== 0) return fail(counts, `${name} suite: deno test exited with code ${code}`);
    if (counts.passed + counts.skipped === 0 && passedOn.length === 0) {
      return fail(counts, `${name} suite: no test ran`);
    }
    return counts;
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

function fail(counts: Counts, why: string): Counts {
  return { ...counts, failed: counts.failed + 1, failures: [...counts.failures, why] };
}

/** Runs a program in the project's directory; returns its exit code. */
async function run(
  argv: readonly string[],
  { signal, kept, env = {} }: {
    readonly signal?: AbortSignal;
    readonly env?: Readonly<Record<string, string>>;
    /** The file for its output, which is inherited otherwise. */
    readonly kept?: string | undefined;
  } = {},
): Promise<number> {
  const shell = ["sh", "-c", 'exec "$@" >"$0" 2>&1'];
  const [program = "", ...args] = kept === undefined ? argv : [...shell, kept, ...argv];
  const child = new Deno.Command(program, {
    args,
    cwd: PROJECT,
    env,
    stdin: "null",
    ...(signal === undefined ? {} : { signal }),
  }).spawn();
  return (await child.status).code;
}

if (import.meta.main) process.exitCode = await main(Deno.args);
