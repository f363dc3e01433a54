/**
 * Assembles the two layouts of a build.
 *
 * @module
 */
import { type BuildInfo, formatBuildInfo } from "@lib/features/install/build_info.ts";
import { PTY_FILE } from "@lib/foundations/terminal/native.ts";
import { bundle, bundleLazily, LAZY_PACKAGES } from "./bundle.ts";
import { requirePlatform } from "./executable_format.ts";
import {
  launcherText,
  LIB_PATH,
  PERMISSION_FLAGS,
  PROGRAMS,
  THIRD_PARTY_LICENSES,
  V8_FLAGS,
} from "./layout.ts";
import { thirdPartyLicenses } from "./licenses.ts";
import type { Progress } from "./progress.ts";
import { run } from "./run.ts";
import { stampTree } from "./stamp.ts";

/** Options for {@linkcode assemble}. */
export interface AssembleOptions {
  readonly root: string;
  /** An empty directory that becomes the release. */
  readonly outDir: string;
  /** Where the release will stay; absent if it may be unpacked anywhere. */
  readonly origin?: string;
  readonly info: BuildInfo;
  /** Modification time of every file, in seconds since the epoch. */
  readonly epochSeconds: number;
  readonly progress: Progress;
  readonly signal: AbortSignal;
}

/** Builds a whole release below `outDir`: `bin/` and `lib/cicd-toolkit/`. */
export async function assemble(options: AssembleOptions): Promise<void> {
  const { root, outDir, info, epochSeconds, progress, signal } = options;
  const lib = `${outDir}/${LIB_PATH}`;
  const scratch = `${outDir}/.bundles`;
  await Deno.mkdir(`${outDir}/bin`, { recursive: true });
  await Deno.mkdir(lib, { recursive: true });
  const bundleDir = info.layout === "executable" ? scratch : lib;
  await Deno.mkdir(bundleDir, { recursive: true });
  const parts = PROGRAMS.flatMap((program) =>
    info.layout === "executable" || program.leaner === undefined
      ? [program]
      : [program, program.leaner]
  );
  const sources = new Set<string>();
  const place = {
    root,
    outDir: bundleDir,
    isEmbedded: info.layout === "executable",
    onSource: (path: string) => void sources.add(path),
    signal,
  };
  const packages = new Map<string, string>();
  for (const each of LAZY_PACKAGES) {
    using _ = progress.step("bundle", each.name);
    packages.set(each.name, await bundleLazily(each, new Map(), place));
  }
  const files = [...packages.values()];
  for (const part of parts) {
    const { rest } = part;
    const linked = new Map(packages);
    if (rest !== undefined && !(place.isEmbedded && rest.keepsCode === true)) {
      using _ = progress.step("bundle", rest.file ?? rest.name);
      const file = await bundleLazily(rest, packages, place);
      linked.set(rest.name, file);
      files.push(file);
    }
    using _ = progress.step("bundle", `${part.entry} -> ${part.bundle}`);
    await bundle(part, linked, place);
  }
  if (info.layout === "executable") {
    // Their times become part of the executables.
    await stampTree(scratch, epochSeconds);
    await compileAll(options, { bundles: scratch, include: files });
    await Deno.remove(scratch, { recursive: true });
  } else {
    await shareRuntime(options, lib);
  }
  await copyPty(options, lib);
  await copyTree(`${root}/units`, `${lib}/units`);
  await copyTree(`${root}/deploy`, `${outDir}/deploy`);
  for (const file of ["install.sh", "LICENSE", "README.md"]) {
    await copyIfThere(`${root}/${file}`, `${outDir}/${file}`);
  }
  // Only `bin/` and `lib/` are installed, and the licences ask to be with every copy.
  await copyIfThere(`${root}/LICENSE`, `${lib}/LICENSE`);
  await Deno.writeTextFile(
    `${lib}/${THIRD_PARTY_LICENSES}`,
    await thirdPartyLicenses(root, sources),
  );
  await Deno.writeTextFile(`${lib}/build.json`, formatBuildInfo(info));
  await stampTree(outDir, epochSeconds);
}

async function compileAll(
  options: AssembleOptions,
  { bundles, include }: { readonly bundles: string; readonly include: readonly string[] },
): Promise<void> {
  const { outDir, info, progress, signal } = options;
  for (const program of PROGRAMS) {
    using _ = progress.step("compile", `${program.name} for ${info.target}`);
    await run([
      Deno.execPath(),
      "compile",
      "--quiet",
      "--no-check",
      "--no-config",
      "--no-lock",
      // The cache would be in the temporary directory, where other accounts can plant one: a program
      // executes it without asking whose it is.
      "--no-code-cache",
      `--target=${info.target}`,
      ...PERMISSION_FLAGS,
      V8_FLAGS,
      ...include.map((file) => `--include=${file}`),
      `--output=${outDir}/bin/${program.name}`,
      `${bundles}/${program.bundle}`,
    ], { cwd: bundles, signal });
    await requirePlatform(`${outDir}/bin/${program.name}`, info.target);
  }
}

async function shareRuntime(options: AssembleOptions, lib: string): Promise<void> {
  const { root, outDir, origin, progress } = options;
  using _ = progress.step("runtime", `${Deno.execPath()} -> ${LIB_PATH}/deno`);
  await Deno.copyFile(Deno.execPath(), `${lib}/deno`);
  await Deno.chmod(`${lib}/deno`, 0o755);
  const template = await Deno.readTextFile(`${root}/tools/build/launcher.sh`);
  for (const program of PROGRAMS) {
    const path = `${outDir}/bin/${program.name}`;
    await Deno.symlink("deno", `${lib}/${program.name}`);
    await Deno.writeTextFile(path, launcherText(template, program, origin));
    await Deno.chmod(path, 0o755);
  }
}

/** Copies what opens terminals: native code is not bundled, and an executable cannot load its own. */
async function copyPty({ root, info: { target }, progress }: AssembleOptions, lib: string) {
  const [cpu, , os] = target.split("-");
  if (os !== "linux") return progress.warn(`no terminals: they need Linux, and this is ${target}`);
  const arch = cpu === "aarch64" ? "arm64" : "x64";
  const binding = `${root}/node_modules/@lydell/node-pty-linux-${arch}/${PTY_FILE}`;
  await Deno.copyFile(binding, `${lib}/${PTY_FILE}`);
  await Deno.chmod(`${lib}/${PTY_FILE}`, 0o644);
}

async function copyTree(from: string, to: string): Promise<void> {
  await Deno.mkdir(to, { recursive: true });
  for await (const entry of Deno.readDir(from)) {
    const source = `${from}/${entry.name}`;
    if (entry.isDirectory) await copyTree(source, `${to}/${entry.name}`);
    else if (entry.isFile) await Deno.copyFile(source, `${to}/${entry.name}`);
  }
}

async function copyIfThere(from: string, to: string): Promise<void> {
  try {
    await Deno.copyFile(from, to);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
