/**
 * Makes the Debian package of a build.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { platformName } from "../build/layout.ts";
import { run } from "../build/run.ts";
import {
  changelogText,
  controlText,
  copyrightText,
  LINTIAN_OVERRIDES,
  maintainerScripts,
} from "./deb_texts.ts";
import {
  compress,
  DOC_PATH,
  filesBelow,
  makeTree,
  PACKAGE,
  type PackageOptions,
  packageVersion,
  put,
  readPart,
} from "./package.ts";

/** Makes the package; returns the name of the file. The same build gives the same bytes. */
export async function makeDeb(options: PackageOptions): Promise<string> {
  const { root, releaseDir, stage, outDir, version, target, epoch, signal } = options;
  await makeTree(options, { zshCompletions: "usr/share/zsh/vendor-completions" });
  const license = await Deno.readTextFile(`${root}/LICENSE`);
  await put(`${stage}/${DOC_PATH}/copyright`, copyrightText(license));
  await put(`${stage}/${DOC_PATH}/changelog`, changelogText(options));
  await compress([`${stage}/${DOC_PATH}/changelog`], signal);
  await put(`${stage}/usr/share/lintian/overrides/${PACKAGE}`, LINTIAN_OVERRIDES);
  const installed = await filesBelow(stage);
  const scripts = maintainerScripts(await readPart(root, "scripts.sh"));
  for (const [name, text] of scripts) await put(`${stage}/DEBIAN/${name}`, text, 0o755);
  await put(`${stage}/DEBIAN/md5sums`, await sumAll(stage, installed));
  const architecture = platformName(target).replace(/^.*-/, "");
  const installedBytes = await sizeOf(stage, installed);
  const control = controlText({ ...options, architecture, installedBytes });
  await put(`${stage}/DEBIAN/control`, control);
  await run(["chmod", "-R", "u+rwX,go+rX,go-w", stage], { signal });
  const name = `${PACKAGE}_${packageVersion(version)}_${architecture}.deb`;
  // What lintian accepts and is quick: most of the package is the runtime.
  const pack = ["dpkg-deb", "--root-owner-group", "-Zgzip", "-z1", "--build", stage];
  const env = { SOURCE_DATE_EPOCH: epoch };
  await run([...pack, `${outDir}/${name}`], { cwd: releaseDir, env, signal });
  return name;
}

/** Returns the checksums by which dpkg(1) verifies what is installed. */
async function sumAll(stage: string, paths: readonly string[]): Promise<string> {
  const lines: string[] = [];
  for (const path of paths) {
    if ((await Deno.lstat(`${stage}/${path}`)).isSymlink) continue;
    const hash = createHash("md5");
    using file = await Deno.open(`${stage}/${path}`);
    for await (const chunk of file.readable) hash.update(chunk);
    lines.push(`${hash.digest("hex")}  ${path}\n`);
  }
  return lines.join("");
}

async function sizeOf(stage: string, paths: readonly string[]): Promise<number> {
  let bytes = 0;
  for (const path of paths) bytes += (await Deno.lstat(`${stage}/${path}`)).size;
  return bytes;
}
