/**
 * Makes the RPM of a build.
 *
 * @module
 */
import { run } from "../build/run.ts";
import {
  filesBelow,
  makeTree,
  PACKAGE,
  type PackageOptions,
  packageVersion,
  readPart,
} from "./package.ts";
import { specText } from "./rpm_spec.ts";

/** Facts of the making that would differ between machines and runs, and its speed. */
const DEFINES: readonly (readonly [string, string])[] = [
  ["_buildhost", "localhost"],
  ["use_source_date_epoch_as_buildtime", "1"],
  ["clamp_mtime_to_source_date_epoch", "1"],
  ["source_date_epoch_from_changelog", "0"],
  // Read by every RPM since 2018, and quick: most of the package is the runtime.
  ["_binary_payload", "w3.zstdio"],
  // The runtime stays the file that Deno publishes.
  ["__os_install_post", "%{nil}"],
  ["debug_package", "%{nil}"],
  ["_build_id_links", "none"],
];

/** Makes the package; returns the name of the file. The same build gives the same bytes. */
export async function makeRpm(options: PackageOptions): Promise<string> {
  const { root, stage, outDir, version, target, epoch, signal } = options;
  await makeTree(options, { zshCompletions: "usr/share/zsh/site-functions" });
  const architecture = target.replace(/-.*$/, "");
  const name = `${PACKAGE}-${packageVersion(version)}-1.${architecture}.rpm`;
  const top = `${stage}.rpmbuild`;
  await Deno.mkdir(top);
  const spec = specText({
    ...options,
    paths: await filesBelow(stage),
    functions: await readPart(root, "scripts.sh"),
  });
  await Deno.writeTextFile(`${top}/${PACKAGE}.spec`, spec);
  const defines = [
    ...DEFINES,
    ["_topdir", top],
    ["_rpmdir", outDir],
    ["_rpmfilename", name],
    ["stage", stage],
  ].map(([key, value]) => `--define=${key} ${value}`);
  const build = ["rpmbuild", "-bb", "--quiet", `--target=${architecture}-linux`, ...defines];
  await run([...build, `--buildroot=${top}/root`, `${top}/${PACKAGE}.spec`], {
    cwd: top,
    env: { SOURCE_DATE_EPOCH: epoch },
    signal,
  });
  await Deno.remove(top, { recursive: true });
  return name;
}
