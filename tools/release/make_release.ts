/**
 * Makes the files of a release, all or none.
 *
 * @module
 */
import { type BuildInfo, parseBuildInfo } from "@lib/features/install/build_info.ts";
import { packTree } from "../build/archive.ts";
import {
  archiveName,
  LIB_PATH,
  platformName,
  PROGRAMS,
  THIRD_PARTY_LICENSES,
} from "../build/layout.ts";
import { packagesIn } from "../build/licenses.ts";
import type { Progress } from "../build/progress.ts";
import { run } from "../build/run.ts";
import { writeSite } from "../pages/write_site.ts";
import { formatChecksums, sha256Of } from "./checksums.ts";
import { requireMaintainer } from "./maintainer.ts";
import { PACKAGE, readPart } from "./package.ts";
import { note, type Place, writePackages } from "./packages.ts";
import { formulaText } from "./formula.ts";
import { releaseInstaller } from "./installer.ts";
import { parsePublicKey, parseSigningKey, sign, type SigningKey } from "./minisign.ts";
import { planTargets, type TargetPlan } from "./plan_targets.ts";
import { builderOf, formatProvenance, type Material } from "./provenance.ts";
import { formatSbom, parseLock } from "./sbom.ts";
import { installAndRun } from "./smoke.ts";
import { readSources } from "./sources.ts";

/** Options for {@linkcode makeRelease}. */
export interface ReleaseOptions {
  readonly root: string;
  /** Replaced as a whole, if it holds a release. */
  readonly out: string;
  /** Triples, or "all"; empty: each that can be built. */
  readonly targets: readonly string[];
  readonly layout: "auto" | BuildInfo["layout"];
  readonly keyFile: string | undefined;
  readonly publicKey: string | undefined;
  readonly baseUrl: string | undefined;
  /** `NAME <ADDRESS>` for packages; a release that has an address needs one. */
  readonly maintainer: string | undefined;
  readonly offline: boolean;
  /** Where the packages of an image come from. */
  readonly mirror: string | undefined;
  /** Installs and runs the release before it replaces the one in `out`. */
  readonly tries: boolean;
}

const CHECKSUMS = "checksums.txt";
const SBOM = "cicd-toolkit.cdx.json";
const DOCS = "cicd-toolkit-docs.tar.gz";
const PROVENANCE = "cicd-toolkit.intoto.json";

/** A file of a release. */
export interface ReleasedFile {
  readonly name: string;
  readonly bytes: number;
}

/** Makes a release in `out`, or leaves what was there; returns its files, sorted by name. */
export async function makeRelease(
  options: ReleaseOptions,
  report: Progress,
  signal: AbortSignal,
): Promise<readonly ReleasedFile[]> {
  const { root, out } = options;
  const keys = await readKeys(options);
  const maintainer = requireMaintainer(options);
  const epoch = await readEpoch(root, signal);
  const plans = await planTargets(options, signal);
  await refuseOther(out);
  const scratch = `${out}.tmp.${Deno.pid}`;
  const files = `${scratch}/files`;
  await Deno.mkdir(files, { recursive: true });
  try {
    const built: BuildInfo[] = [];
    for (const plan of plans) {
      if (plan.kind === "skipped") note(report, `${plan.target} skipped: ${plan.reason}`);
      else built.push(await build(plan, { root, scratch, files, epoch, report, signal }));
    }
    const [info] = built;
    if (info === undefined) throw new Error("Cannot make a release: no target can be built here");
    const sbom = await writeSbom(root, { files, releaseDir: `${scratch}/${info.target}` }, info);
    const place = { root, scratch, files, epoch, report, signal };
    const image = options.offline ? {} : { image: { mirror: options.mirror } };
    await writePackages(built, { sbom, maintainer, ...image }, place);
    await writeInstaller(root, files, {
      version: info.version,
      baseUrl: options.baseUrl,
      publicKey: keys.publicKey,
    });
    await writeDocs(place);
    await writeFormula(built, options, { files, report });
    const materials = await readMaterials(root, info, plans);
    await writeProvenance(files, built, materials);
    await writeChecksums(files, keys.signing, info.version);
    if (options.tries) await tryOut(files, scratch, built, report, signal);
    await remove(out);
    await Deno.rename(files, out);
    report.done({ version: info.version, targets: built.length, out });
    return await listFiles(out);
  } finally {
    await remove(scratch);
  }
}

interface Keys {
  readonly signing: SigningKey | undefined;
  readonly publicKey: string | undefined;
}

async function readKeys({ keyFile, publicKey }: ReleaseOptions): Promise<Keys> {
  const given = publicKey === undefined ? undefined : (await parsePublicKey(publicKey)).text;
  if (keyFile === undefined) return { signing: undefined, publicKey: given };
  const signing = await parseSigningKey(await Deno.readTextFile(keyFile));
  if (given !== undefined && given !== signing.public.text) {
    throw new Error(`Cannot sign with "${keyFile}": it is not the key ${given}`);
  }
  return { signing, publicKey: signing.public.text };
}

/** The one time in a release, so that it can be made again: that of the commit. */
async function readEpoch(root: string, signal: AbortSignal): Promise<string> {
  const given = Deno.env.get("SOURCE_DATE_EPOCH");
  if (given !== undefined) return given;
  const git = (...args: string[]) => run(["git", "-C", root, ...args], { signal });
  if (await git("status", "--porcelain") !== "") {
    throw new Error(
      "Cannot release changes without a commit; commit them or set SOURCE_DATE_EPOCH",
    );
  }
  return (await git("show", "-s", "--format=%ct", "HEAD")).trim();
}

async function build(
  plan: TargetPlan & { readonly kind: "buildable" },
  place: Place,
): Promise<BuildInfo> {
  const { target, layout } = plan;
  const { root, scratch, files, signal } = place;
  using _ = place.report.step("build", `${target}, ${layout}${plan.why}`);
  const out = `${scratch}/${target}`;
  const env = ["env", `SOURCE_DATE_EPOCH=${place.epoch}`];
  // It is for this machine, and `deno compile` would take it for any.
  if (target !== Deno.build.target) env.splice(1, 0, "-u", "DENORT_BIN");
  const tool = [Deno.execPath(), "run", "--allow-all", "--quiet", `${root}/tools/build.ts`];
  const args = [`--layout=${layout}`, `--target=${target}`, `--out=${out}`, `--root=${root}`];
  await run([...env, ...tool, ...args, "--archive", "--offline"], { cwd: root, signal });
  const archive = archiveName(target);
  await Deno.rename(`${out}-archive/${archive}`, `${files}/${archive}`);
  const info = parseBuildInfo(await Deno.readTextFile(`${out}/${LIB_PATH}/build.json`));
  if (info === undefined) throw new Error(`Cannot read the build of ${target}`);
  // An executable also works alone, where no units are needed.
  if (layout === "executable") {
    for (const { name } of PROGRAMS) {
      await Deno.copyFile(`${out}/bin/${name}`, `${files}/${name}-${platformName(target)}`);
    }
  }
  return info;
}

/** Writes the bill of materials, which it returns, and the licences of what is in it. */
async function writeSbom(
  root: string,
  { files, releaseDir }: { readonly files: string; readonly releaseDir: string },
  info: BuildInfo,
): Promise<string> {
  const locked = parseLock(await Deno.readTextFile(`${root}/deno.lock`));
  const sources = await readSources(root, locked);
  const { version, date = "", deno: runtimeVersion } = info;
  const thirdParty = await Deno.readTextFile(`${releaseDir}/${LIB_PATH}/${THIRD_PARTY_LICENSES}`);
  await Deno.writeTextFile(`${files}/${THIRD_PARTY_LICENSES}`, thirdParty);
  const bundled = packagesIn(thirdParty);
  const sbom = formatSbom({ version, date, runtimeVersion, locked, bundled, ...sources });
  await Deno.writeTextFile(`${files}/${SBOM}`, sbom);
  return sbom;
}

/** Packs the documentation as pages. */
async function writeDocs({ root, scratch, files, epoch, report, signal }: Place): Promise<void> {
  using _ = report.step("package", "documentation");
  const { dead } = await writeSite(root, `${scratch}/docs`);
  if (dead.length > 0) throw new Error(`Cannot release dead links: ${dead.join("; ")}`);
  await packTree(`${scratch}/docs`, `${files}/${DOCS}`, { epochSeconds: Number(epoch), signal });
}

async function writeInstaller(
  root: string,
  files: string,
  settings: Parameters<typeof releaseInstaller>[1],
): Promise<void> {
  const text = releaseInstaller(await Deno.readTextFile(`${root}/install.sh`), settings);
  await Deno.writeTextFile(`${files}/install.sh`, text);
  await Deno.chmod(`${files}/install.sh`, 0o755);
}

/** Writes the formula of Homebrew, which needs to know where the archives will be. */
async function writeFormula(
  built: readonly BuildInfo[],
  { root, baseUrl }: Pick<ReleaseOptions, "root" | "baseUrl">,
  { files, report }: Pick<Place, "files" | "report">,
): Promise<void> {
  if (baseUrl === undefined) return note(report, "no formula of Homebrew: there is no --base-url");
  const archives = new Map<string, string>();
  for (const { target } of built) {
    archives.set(target, await sha256Of(`${files}/${archiveName(target)}`));
  }
  const version = built[0]?.version ?? "";
  const text = formulaText(await readPart(root, "formula.rb"), { version, baseUrl, archives });
  await Deno.writeTextFile(`${files}/${PACKAGE}.rb`, text);
}

async function readMaterials(
  root: string,
  info: BuildInfo,
  plans: readonly TargetPlan[],
): Promise<readonly Material[]> {
  const env = (name: string) => Deno.env.get(name);
  const repository = env("GITHUB_REPOSITORY");
  const source = repository === undefined
    ? "urn:cicd-toolkit:source"
    : `git+${env("GITHUB_SERVER_URL")}/${repository}@${env("GITHUB_REF")}`;
  const runtimes = plans.flatMap((plan) =>
    plan.kind === "buildable" && plan.denort !== undefined ? [plan.denort] : []
  );
  const sha256 = await sha256Of(Deno.execPath());
  return [
    ...info.commit === undefined ? [] : [{ uri: source, digest: { gitCommit: info.commit } }],
    {
      uri: "urn:cicd-toolkit:deno.lock",
      digest: { sha256: await sha256Of(`${root}/deno.lock`) },
    },
    { uri: `pkg:github/denoland/deno@v${info.deno}`, digest: { sha256 } },
    ...runtimes.map((each) => ({
      uri: `https://dl.deno.land/release/v${info.deno}/${each.name}`,
      digest: { sha256: each.sha256 },
    })),
  ];
}

async function writeProvenance(
  files: string,
  built: readonly BuildInfo[],
  materials: readonly Material[],
): Promise<void> {
  const targets = built.map(({ target, layout }) => ({ target, layout }));
  const text = formatProvenance({
    subjects: await sumAll(files),
    parameters: { version: built[0]?.version, targets },
    materials,
    builder: builderOf((name) => Deno.env.get(name)),
  });
  await Deno.writeTextFile(`${files}/${PROVENANCE}`, text);
}

/** Writes `checksums.txt`, one file for each checksum, and the signature of all. */
async function writeChecksums(
  files: string,
  key: SigningKey | undefined,
  version: string,
): Promise<void> {
  const sums = await sumAll(files);
  for (const [name, sum] of sums) {
    await Deno.writeTextFile(`${files}/${name}.sha256`, formatChecksums(new Map([[name, sum]])));
  }
  const text = formatChecksums(sums);
  await Deno.writeTextFile(`${files}/${CHECKSUMS}`, text);
  if (key === undefined) return;
  const content = new TextEncoder().encode(text);
  const signature = await sign(content, { key, comment: `cicd-toolkit ${version}` });
  await Deno.writeTextFile(`${files}/${CHECKSUMS}.minisig`, signature);
}

async function sumAll(files: string): Promise<ReadonlyMap<string, string>> {
  const sums = new Map<string, string>();
  for await (const { name } of Deno.readDir(files)) {
    sums.set(name, await sha256Of(`${files}/${name}`));
  }
  return sums;
}

async function tryOut(
  directory: string,
  scratch: string,
  built: readonly BuildInfo[],
  report: Progress,
  signal: AbortSignal,
): Promise<void> {
  const here = built.find(({ target }) => target === Deno.build.target);
  if (here === undefined) return note(report, `not tried: there is none for ${Deno.build.target}`);
  using _ = report.step("try", "install.sh from loopback, cicd-runner version");
  const place = await Deno.makeTempDir({ dir: scratch });
  const { version, layout, target } = await installAndRun({ directory, scratch: place, signal });
  if (version !== here.version || layout !== here.layout || target !== here.target) {
    throw new Error(
      `Cannot publish this release: the installed program says it is ${version}, ${layout}, ` +
        `${target}, and ${here.version}, ${here.layout}, ${here.target} was built`,
    );
  }
}

async function listFiles(directory: string): Promise<readonly ReleasedFile[]> {
  const names = (await Array.fromAsync(Deno.readDir(directory))).map(({ name }) => name).sort();
  const sizes = names.map(async (name) => (await Deno.stat(`${directory}/${name}`)).size);
  const all = await Promise.all(sizes);
  return names.map((name, at) => ({ name, bytes: all[at] ?? 0 }));
}

/** Refuses to replace what is no release. */
async function refuseOther(out: string): Promise<void> {
  const entries = await Array.fromAsync(Deno.readDir(out)).catch((error: unknown) => {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  });
  if (entries.length > 0 && !entries.some(({ name }) => name === CHECKSUMS)) {
    throw new Error(`Cannot write to "${out}": it contains something other than a release`);
  }
}

async function remove(path: string): Promise<void> {
  try {
    await Deno.remove(path, { recursive: true });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
