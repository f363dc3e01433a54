/**
 * Makes the Debian package of a build.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { LIB_PATH, platformName } from "../build/layout.ts";
import { run } from "../build/run.ts";
import {
  type BundledPackage,
  changelogText,
  controlText,
  copyrightText,
  debianVersion,
  LINTIAN_OVERRIDES,
} from "./deb_texts.ts";

/** Options for {@linkcode makeDeb}. */
export interface DebOptions {
  readonly root: string;
  /** The build: `bin/` and `lib/cicd-toolkit/`. */
  readonly releaseDir: string;
  /** A directory that does not exist; becomes the package's tree. */
  readonly stage: string;
  readonly outDir: string;
  readonly version: string;
  /** RFC 3339. */
  readonly date: string;
  readonly target: string;
  /** The time of every file, in seconds since the epoch. */
  readonly epoch: string;
  readonly bundled: readonly BundledPackage[];
  /** The bill of materials. */
  readonly sbom: string;
  readonly signal: AbortSignal;
}

const SHARE = "usr/share";
const DOC = `${SHARE}/doc/cicd-toolkit`;
const UNITS = "usr/lib/systemd/user";

/** Makes the package; returns the name of the file. The same build gives the same bytes. */
export async function makeDeb(options: DebOptions): Promise<string> {
  const { root, releaseDir, stage, version, date, target, signal } = options;
  await copyPrograms(options);
  await writeDocs(options);
  for (const name of ["postinst", "prerm", "postrm"]) {
    await put(`${stage}/DEBIAN/${name}`, await readTool(root, name), 0o755);
  }
  await put(`${stage}/DEBIAN/md5sums`, await sumTree(stage));
  const architecture = platformName(target).replace(/^.*-/, "");
  const installedBytes = await sizeOf(stage);
  await put(
    `${stage}/DEBIAN/control`,
    controlText({ version, date, architecture, installedBytes }),
  );
  await run(["chmod", "-R", "u+rwX,go+rX,go-w", stage], { signal });
  const name = `cicd-toolkit_${debianVersion(version)}_${architecture}.deb`;
  // What lintian accepts and is quick: most of the package is the runtime.
  const pack = ["dpkg-deb", "--root-owner-group", "-Zgzip", "-z1", "--build", stage];
  const env = ["env", `SOURCE_DATE_EPOCH=${options.epoch}`];
  await run([...env, ...pack, `${options.outDir}/${name}`], { cwd: releaseDir, signal });
  return name;
}

/** Programs where Debian has them, and units where systemd looks for a package's. */
async function copyPrograms({ root, releaseDir, stage, signal }: DebOptions): Promise<void> {
  await Deno.mkdir(`${stage}/usr/lib`, { recursive: true });
  await Deno.mkdir(`${stage}/usr/lib/systemd`, { recursive: true });
  await run(["cp", "-R", `${releaseDir}/bin`, `${stage}/usr/bin`], { signal });
  const lib = `${stage}/usr/${LIB_PATH}`;
  await run(["cp", "-R", `${releaseDir}/${LIB_PATH}`, lib], { signal });
  await Deno.mkdir(`${stage}/${UNITS}`);
  // `cicd-runner doctor` and `install` look for them beside the programs.
  for await (const { name, isFile } of Deno.readDir(`${lib}/units`)) {
    if (!isFile) continue;
    await Deno.rename(`${lib}/units/${name}`, `${stage}/${UNITS}/${name}`);
    await Deno.symlink(`../../systemd/user/${name}`, `${lib}/units/${name}`);
  }
  const preset = "50-cicd-toolkit.preset";
  await put(`${stage}/usr/lib/systemd/user-preset/${preset}`, await readTool(root, preset));
}

async function writeDocs(options: DebOptions): Promise<void> {
  const { root, stage, bundled, sbom, signal } = options;
  const license = await Deno.readTextFile(`${root}/LICENSE`);
  await put(`${stage}/${DOC}/copyright`, copyrightText(license, bundled));
  await put(`${stage}/${DOC}/cicd-toolkit.cdx.json`, sbom);
  await put(
    `${stage}/${DOC}/changelog`,
    changelogText({ ...options, architecture: "", installedBytes: 0 }),
  );
  await run(["cp", "-R", `${options.releaseDir}/deploy`, `${stage}/${DOC}/examples`], { signal });
  await put(`${stage}/${SHARE}/lintian/overrides/cicd-toolkit`, LINTIAN_OVERRIDES);
  const say = (...args: readonly string[]) =>
    run([Deno.execPath(), "run", "-A", "--quiet", `${root}/cmd/runner/main.ts`, ...args], {
      cwd: root,
      signal,
    });
  const man = `${stage}/${SHARE}/man/man1`;
  await put(`${man}/cicd-runner.1`, await say("manual"));
  await put(`${man}/cicd-agent.1`, await readTool(root, "cicd-agent.1"));
  const compressed = [`${stage}/${DOC}/changelog`, `${man}/cicd-runner.1`, `${man}/cicd-agent.1`];
  await run(["gzip", "--best", "--no-name", ...compressed], { signal });
  const completions = [
    ["bash", "bash-completion/completions/cicd-runner"],
    ["zsh", "zsh/vendor-completions/_cicd-runner"],
    ["fish", "fish/vendor_completions.d/cicd-runner.fish"],
  ] as const;
  for (const [shell, path] of completions) {
    await put(`${stage}/${SHARE}/${path}`, await say("completion", shell));
  }
}

function readTool(root: string, name: string): Promise<string> {
  return Deno.readTextFile(`${root}/tools/release/debian/${name}`);
}

async function put(path: string, text: string, mode = 0o644): Promise<void> {
  await Deno.mkdir(path.replace(/\/[^/]*$/, ""), { recursive: true });
  await Deno.writeTextFile(path, text, { mode });
}

/** Returns the checksums by which dpkg(1) verifies what is installed. */
async function sumTree(stage: string): Promise<string> {
  const lines: string[] = [];
  for (const path of await filesBelow(stage)) {
    if (path.startsWith("DEBIAN/")) continue;
    const hash = createHash("md5");
    using file = await Deno.open(`${stage}/${path}`);
    for await (const chunk of file.readable) hash.update(chunk);
    lines.push(`${hash.digest("hex")}  ${path}\n`);
  }
  return lines.join("");
}

async function sizeOf(stage: string): Promise<number> {
  let bytes = 0;
  for (const path of await filesBelow(stage)) bytes += (await Deno.stat(`${stage}/${path}`)).size;
  return bytes;
}

/** Returns the paths of regular files, sorted. */
async function filesBelow(directory: string, below = ""): Promise<readonly string[]> {
  const paths: string[] = [];
  for await (const { name, isFile, isDirectory } of Deno.readDir(`${directory}/${below}`)) {
    if (isFile) paths.push(`${below}${name}`);
    if (isDirectory) paths.push(...await filesBelow(directory, `${below}${name}/`));
  }
  return paths.sort();
}
