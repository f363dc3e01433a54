/**
 * Builds the programs: `deno task compile`.
 *
 * Two executables if the slim runtime is available, else one shared runtime and
 * two launchers. Either way `dist/` is a relocatable release: `bin/` and
 * `lib/cicd-toolkit/`.
 *
 * @module
 */
import { resolve } from "node:path";
import type { BuildInfo } from "@lib/features/install/build_info.ts";
import { pack, writeSums } from "./build/archive.ts";
import { assemble } from "./build/assemble.ts";
import { requirePlatform } from "./build/executable_format.ts";
import { findDenort } from "./build/denort.ts";
import { archiveName, LIB_PATH, RELEASE_TARGETS, requireDeno } from "./build/layout.ts";
import { type Progress, progress as reporter } from "./build/progress.ts";
import { run } from "./build/run.ts";
import { verifyBuild } from "./build/verify.ts";
import { readFlags } from "./flags.ts";

const USAGE = `Usage: deno task compile [options]

  --layout LAYOUT  auto (default), executable, or shared-runtime
  --target TRIPLE  platform to build for; may be repeated; "all" for a release
  --out DIR        output directory (default: dist)
  --root DIR       the source tree (default: this one)
  --relocatable    leave the output directory out of the launchers (implied by --archive)
  --archive        also create an archive for each target, and checksums.txt
  --offline        do not look for a runtime on the network
  --json           print progress as JSON lines
  --help
`;

interface Options {
  readonly layout: "auto" | BuildInfo["layout"];
  readonly targets: readonly string[];
  readonly out: string;
  readonly root: string;
  readonly relocatable: boolean;
  readonly archive: boolean;
  readonly offline: boolean;
  readonly json: boolean;
}

async function build(options: Options, signal: AbortSignal): Promise<void> {
  const { root, out, targets } = options;
  requireDeno(Deno.version.deno);
  const report = reporter(options.json);
  // All of them before the first build, so that a build is made as a whole or not at all.
  const layouts = new Map<string, BuildInfo["layout"]>();
  for (const target of targets) {
    layouts.set(target, await chooseLayout(options, { target, report, signal }));
  }
  const tree = await readTree(root, signal);
  const sums = new Map<string, string>();
  for (const [target, layout] of layouts) {
    const info: BuildInfo = { ...tree.info, layout, target, deno: Deno.version.deno };
    const releaseDir = targets.length === 1 ? out : `${out}/${target}`;
    const scratch = `${releaseDir}.tmp.${Deno.pid}`;
    await Deno.mkdir(scratch, { recursive: true });
    try {
      // An archive is the same wherever it was built; one that moves must not be looked for there.
      const origin = options.relocatable ? {} : { origin: resolve(releaseDir) };
      const { epochSeconds } = tree;
      await assemble(
        { root, outDir: scratch, ...origin, info, epochSeconds, progress: report, signal },
      );
      if (target === Deno.build.target) {
        using _ = report.step("verify", "cicd-runner version");
        await verifyBuild(scratch, info, signal);
      }
      await removeRelease(releaseDir);
      await Deno.rename(scratch, releaseDir);
    } finally {
      // Exists only if the build failed.
      await removeTree(scratch);
    }
    if (options.archive) {
      using _ = report.step("archive", archiveName(target));
      const outDir = targets.length === 1 ? `${out}-archive` : out;
      await Deno.mkdir(outDir, { recursive: true });
      const { epochSeconds } = tree;
      const packed = await pack({ releaseDir, outDir, target, epochSeconds, signal });
      sums.set(archiveName(target), packed.sha256);
      await writeSums(outDir, sums);
    }
    report.done({ version: info.version, layout, target, out: releaseDir });
  }
}

async function chooseLayout(
  options: Options,
  { target, report, signal }: {
    readonly target: string;
    readonly report: Progress;
    readonly signal: AbortSignal;
  },
): Promise<BuildInfo["layout"]> {
  const host = Deno.build.target;
  if (options.layout === "shared-runtime") {
    if (target === host) return "shared-runtime";
    throw new Error(`Cannot build a shared runtime for "${target}": this runtime is for ${host}`);
  }
  const found = await findDenort(Deno.version.deno, target, {
    env: (name) => Deno.env.get(name),
    exists: (path) => Deno.stat(path).then((stat) => stat.isFile, () => false),
    host,
    ...options.offline ? {} : { reachable: (url: string) => answers(url, signal) },
  });
  switch (found.kind) {
    case "given":
      await requirePlatform(found.path, target);
      return "executable";
    case "cached":
    case "download":
      return "executable";
    case "unusable":
      throw new Error(`Cannot build executables for "${target}": ${found.reason}`);
    case "unavailable":
      if (options.layout === "executable" || target !== host) {
        throw new Error(`Cannot build executables for "${target}": ${found.reason}`);
      }
      report.warn(`no executables, but a shared runtime: ${found.reason}`);
      return "shared-runtime";
  }
}

async function answers(url: string, signal: AbortSignal): Promise<boolean> {
  try {
    const deadline = AbortSignal.any([signal, AbortSignal.timeout(5_000)]);
    const response = await fetch(url, { method: "HEAD", signal: deadline });
    return response.ok;
  } catch {
    signal.throwIfAborted();
    return false;
  }
}

interface Tree {
  readonly info: Pick<BuildInfo, "version" | "commit" | "date" | "schemas">;
  readonly epochSeconds: number;
}

async function readTree(root: string, signal: AbortSignal): Promise<Tree> {
  const config: unknown = JSON.parse(await Deno.readTextFile(`${root}/deno.json`));
  const version: unknown = Reflect.get(Object(config), "version");
  if (typeof version !== "string") {
    throw new Error(`Cannot build "${root}": its deno.json has no version`);
  }
  const git = (...args: string[]) =>
    run(["git", "-C", root, ...args], { signal }).then((text) => text.trim(), () => undefined);
  const head = await git("rev-parse", "HEAD");
  const dirty = head !== undefined && await git("status", "--porcelain") !== "";
  const commit = head === undefined || dirty ? undefined : head;
  const given = Deno.env.get("SOURCE_DATE_EPOCH") ??
    (commit === undefined ? undefined : await git("show", "-s", "--format=%ct", commit));
  if (given !== undefined && !/^\d{1,11}$/.test(given)) {
    throw new Error(`Cannot use SOURCE_DATE_EPOCH "${given}": it is not a number of seconds`);
  }
  const epochSeconds = given === undefined ? Math.floor(Date.now() / 1_000) : Number(given);
  const date = new Date(epochSeconds * 1_000).toISOString();
  // Of another tree, only its own programs know.
  const isOwn = resolve(root) === resolve(ownRoot());
  const schemas = isOwn ? await readSchemas() : undefined;
  return { info: { version, commit, date, schemas }, epochSeconds };
}

async function readSchemas(): Promise<Readonly<Record<string, number>>> {
  const { loadRunnerModules, schemasOf } = await import("../cmd/runner/schemas.ts");
  const schemas = schemasOf(await loadRunnerModules());
  return Object.fromEntries(schemas.map(({ name, migrations }) => [name, migrations.length]));
}

function ownRoot(): string {
  return decodeURIComponent(new URL("..", import.meta.url).pathname);
}

/** Removes an earlier build; refuses to remove anything else. */
async function removeRelease(path: string): Promise<void> {
  const entries = await Array.fromAsync(Deno.readDir(path)).catch((error: unknown) => {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  });
  const isRelease = await Deno.stat(`${path}/${LIB_PATH}`).then(() => true, () => false);
  if (entries.length > 0 && !isRelease) {
    throw new Error(`Cannot build into "${path}": it contains something other than a build`);
  }
  await removeTree(path);
}

async function removeTree(path: string): Promise<void> {
  try {
    await Deno.remove(path, { recursive: true });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

function parseOptions(args: readonly string[]): Options | "help" {
  const flags = readFlags(args, {
    switches: ["relocatable", "archive", "offline", "json"],
    values: ["layout", "out", "root"],
    lists: ["target"],
  });
  if (flags.has("help")) return "help";
  const layout = flags.value("layout") ?? "auto";
  if (layout !== "auto" && layout !== "executable" && layout !== "shared-runtime") {
    throw new TypeError(`Unknown layout "${layout}": use auto, executable, or shared-runtime`);
  }
  const given = flags.list("target");
  const targets = given.length > 0 ? given : [Deno.build.target];
  const known: readonly string[] = ["all", Deno.build.target, ...RELEASE_TARGETS];
  const unknown = targets.find((target) => !known.includes(target));
  if (unknown !== undefined) {
    throw new TypeError(`Unknown target "${unknown}": use ${RELEASE_TARGETS.join(", ")}, or all`);
  }
  const root = flags.value("root") ?? ownRoot();
  return {
    layout,
    targets: targets.includes("all") ? RELEASE_TARGETS : targets,
    root: root.replace(/\/+$/, ""),
    out: (flags.value("out") ?? `${root.replace(/\/+$/, "")}/dist`).replace(/\/+$/, ""),
    relocatable: flags.has("relocatable") || flags.has("archive"),
    archive: flags.has("archive"),
    offline: flags.has("offline"),
    json: flags.has("json"),
  };
}

if (import.meta.main) {
  const stop = new AbortController();
  Deno.addSignalListener("SIGINT", () => stop.abort(new Error("Interrupted")));
  try {
    const options = parseOptions(Deno.args);
    if (options === "help") console.log(USAGE);
    else await build(options, stop.signal);
  } catch (error) {
    console.error(`build: ${error instanceof Error ? error.message : String(error)}`);
    Deno.exitCode = error instanceof TypeError ? 64 : 1;
  }
  Deno.exit();
}
