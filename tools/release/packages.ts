/**
 * Makes the packages of a release, where there are the tools for them.
 *
 * @module
 */
import type { BuildInfo } from "@lib/features/install/build_info.ts";
import type { Progress } from "../build/progress.ts";
import { run } from "../build/run.ts";
import { makeDeb } from "./deb.ts";
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

/** Makes each package of each build for Linux. */
export async function writePackages(
  built: readonly BuildInfo[],
  facts: Pick<PackageOptions, "sbom" | "maintainer">,
  { root, scratch, files, epoch, report, signal }: Place,
): Promise<void> {
  for (const { name, tool, make } of FORMATS) {
    const hasTool = await run([tool, "--version"], { signal }).then(() => true, () => false);
    if (!hasTool) {
      note(report, `no ${name}: ${tool} is not installed`);
      continue;
    }
    for (const { target, version, date = "" } of built) {
      if (!target.endsWith("-linux-gnu")) continue;
      using _ = report.step("package", `${name}, ${target}`);
      const releaseDir = `${scratch}/${target}`;
      const place = { root, releaseDir, stage: `${releaseDir}.${tool}`, outDir: files, signal };
      await make({ ...place, version, date, target, epoch, ...facts });
    }
  }
}

/** Reports what is not a step of its own. */
export function note(report: Progress, text: string): void {
  using _ = report.step("note", text);
}
