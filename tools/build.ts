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
import { parseArgs } from "node:util";
import type { BuildInfo } from "@lib/features/install/build_info.ts";
import { pack, writeSums } from "./build/archive.ts";
import { assemble } from "./build/assemble.ts";
import { findDenort } from "./build/denort.ts";
import { archiveName, LIB_PATH, RELEASE_TARGETS } from "./build/layout.ts";
import { progress as reporter } from "./build/progress.ts";
import { run } from "./build/run.ts";

const USAGE = `Usage: deno task compile [options]

  --layout LAYOUT  auto (default), executable, or shared-runtime
  --target TRIPLE  platform to build for; may be repeated; "all" for a release
  --out DIR        output directory (default: dist)
  --root DIR       the source tree (default: this one)
  --archive        also create an archive for each target, and SHA256SUMS
  --offline        do not look for a runtime on the network
  --json           print progress as JSON lines
  --help
`;

interface Options {
  readonly layout: "auto" | BuildInfo["layout"];
  readonly targets: readonly string[];
  readonly out: string;
  readonly root: string;
  readonly archive: boolean;
  readonly offline: boolean;
  readonly json: boolean;
}

async function build(options: Options, signal: AbortSignal): Promise<void> {
  const { root, out, targets } = options;
  const report = reporter(options.json);
  const tree = await readTree(root, signal);
  const sums = new Map<string, string>();
  for (const target of targets) {
    const layout = await chooseLayout(options, target, signal);
    const info: BuildInfo = { ...tree.info, layout, target, deno: Deno.version.deno };
    const releaseDir = targets.length === 1 ? out : `${out}/${target}`;
    const scratch = `${releaseDir}.tmp.${Deno.pid}`;
    await Deno.mkdir(scratch, { recursive: true });
    try {
      // An archive is the same wherever it was built.
      const origin = options.archive ? {} : { origin: resolve(releaseDir) };
      await assemble({ root, outDir: scratch, ...origin, info, progress: report, signal });
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
  target: string,
  signal: AbortSignal,
): Promise<BuildInfo["layout"]> {
  if (options.layout === "shared-runtime") {
    if (target !== Deno.build.target) {
      throw new Error(
        `Cannot build a shared runtime for "${target}": this runtime is for ${Deno.build.target}`,
      );
    }
    return "shared-runtime";
  }
  const found = await findDenort(Deno.version.deno, target, {
    env: (name) => Deno.env.get(name),
    exists: (path) => Deno.stat(path).then((stat) => stat.isFile, () => false),
    reachable: (url) => options.offline ? Promise.resolve(false) : answers(url, signal),
  });
  if (found.kind !== "unavailable") return "executable";
  if (options.layout === "executable" || target !== Deno.build.target) {
    throw new Error(`Cannot build executables for "${target}": ${found.reason}`);
  }
  return "shared-runtime";
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
  readonly info: Pick<BuildInfo, "version" | "commit" | "date">;
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
  return { info: { version, commit, date }, epochSeconds };
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
  const { values } = parseArgs({
    args: [...args],
    options: {
      layout: { type: "string", default: "auto" },
      target: { type: "string", multiple: true },
      out: { type: "string" },
      root: { type: "string" },
      archive: { type: "boolean", default: false },
      offline: { type: "boolean", default: false },
      json: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return "help";
  const { layout } = values;
  if (layout !== "auto" && layout !== "executable" && layout !== "shared-runtime") {
    throw new TypeError(`Unknown layout "${layout}": use auto, executable, or shared-runtime`);
  }
  const targets = values.target ?? [Deno.build.target];
  const root = values.root ?? decodeURIComponent(new URL("..", import.meta.url).pathname);
  return {
    layout,
    targets: targets.includes("all") ? RELEASE_TARGETS : targets,
    root: root.replace(/\/+$/, ""),
    out: (values.out ?? `${root.replace(/\/+$/, "")}/dist`).replace(/\/+$/, ""),
    archive: values.archive,
    offline: values.offline,
    json: values.json,
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
