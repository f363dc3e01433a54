/**
 * Makes the packages of a release, where there are the tools for them.
 *
 * @module
 */
import type { BuildInfo } from "@lib/features/install/build_info.ts";
import type { Progress } from "../build/progress.ts";
import { run } from "../build/run.ts";
import { makeDeb } from "./deb.ts";
import { makeImage, type MakeImageOptions } from "./image.ts";
import type { PackageOptions } from "./package.ts";
import { makeRpm } from "./rpm.ts";

/** Where a release is made. */
export interface Place {
  readonly root: string;
  /** Directory of the builds, each by its target. */
  readonly scratch: string;
  /** Directory of the finished files. */
  readonly files: string;
  /** The time of every file, in seconds. */
  readonly epoch: string;
  readonly report: Progress;
  readonly signal: AbortSignal;
}

/** A kind of package. */
interface Format {
  readonly name: string;
  readonly tool: string;
  /** Returns the name of the file. */
  readonly make: (options: PackageOptions) => Promise<string>;
}

const FORMATS: readonly Format[] = [
  { name: "Debian package", tool: "dpkg-deb", make: makeDeb },
  { name: "RPM", tool: "rpmbuild", make: makeRpm },
];

/** Facts of all packages. */
export interface AllFacts extends Pick<PackageOptions, "sbom" | "maintainer"> {
  /** Absent if there is to be no image. */
  readonly image?: Pick<MakeImageOptions, "mirror">;
}

/** Makes each package of each build for Linux, and the image of the one for this machine. */
export async function writePackages(
  built: readonly BuildInfo[],
  { image, ...facts }: AllFacts,
  { root, scratch, files, epoch, report, signal }: Place,
): Promise<void> {
  const options = ({ target, version, date = "" }: BuildInfo, name: string) => {
    const releaseDir = `${scratch}/${target}`;
    const place = { root, releaseDir, stage: `${releaseDir}.${name}`, outDir: files, signal };
    return { ...place, version, date, target, epoch, ...facts };
  };
  for (const { name, tool, make } of FORMATS) {
    if (!await isInstalled(tool, signal)) {
      note(report, `no ${name}: ${tool} is not installed`);
      continue;
    }
    for (const info of built.filter(({ target }) => target.endsWith("-linux-gnu"))) {
      using _ = report.step("package", `${name}, ${info.target}`);
      await make(options(info, tool));
    }
  }
  const here = built.find(({ target }) => target === Deno.build.target);
  if (image === undefined) return note(report, "no image: its packages come from the network");
  if (here === undefined) {
    return note(report, `no image: nothing for ${Deno.build.target} was built`);
  }
  if (!await isInstalled("mmdebstrap", signal)) {
    return note(report, "no image: mmdebstrap is not installed");
  }
  using _ = report.step("package", `image, ${here.target}`);
  await makeImage({ ...options(here, "image"), ...image });
}

async function isInstalled(tool: string, signal: AbortSignal): Promise<boolean> {
  return await run([tool, "--version"], { signal }).then(() => true, () => false);
}

/** Reports what is not a step of its own. */
export function note(report: Progress, text: string): void {
  using _ = report.step("note", text);
}
