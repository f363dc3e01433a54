/**
 * The one description of the package, of which the Debian package and the RPM are made: its facts, its
 * scripts, and its tree of files.
 *
 * @module
 */
import { LIB_PATH, THIRD_PARTY_LICENSES } from "../build/layout.ts";
import { run } from "../build/run.ts";

/** The name of the package. */
export const PACKAGE = "cicd-toolkit";

/** One line, and what follows it: paragraphs of lines. */
export const DESCRIPTION = {
  summary: "CI/CD job runner for systemd user managers",
  paragraphs: [
    [
      "Accepts jobs on a socket, queues them, and runs each within its own limits:",
      "as a transient unit of the user's systemd, or as a container. The runner and",
      "the agents of its projects start on demand and exit when they are idle.",
    ],
    [
      "Nothing is enabled by the installation. A user who wants a runner enables it:",
      "systemctl --user enable --now cicd-runner.socket cicd-clean.timer",
    ],
  ],
} as const;

/** Another package, by the names of both families. */
interface Need {
  readonly deb: string;
  readonly rpm: string;
}

/** Needs of the package, in three degrees. */
export const NEEDS: {
  readonly requires: readonly Need[];
  readonly recommends: readonly Need[];
  readonly suggests: readonly Need[];
} = {
  requires: [
    { deb: "libc6 (>= 2.35)", rpm: "libc.so.6(GLIBC_2.35)(64bit)" },
    { deb: "libgcc-s1", rpm: "libgcc_s.so.1()(64bit)" },
  ],
  recommends: [
    { deb: "dbus-user-session", rpm: "dbus-broker" },
    { deb: "git", rpm: "git-core" },
    { deb: "libpam-systemd", rpm: "systemd-pam" },
    { deb: "systemd", rpm: "systemd" },
  ],
  suggests: [{ deb: "docker.io | podman", rpm: "podman" }],
};

/** A moment in the life of a package, each of which has a function in `package/scripts.sh`. */
export type Moment = "after_install" | "after_upgrade" | "before_remove" | "after_remove";

/** The facts of one package. */
export interface PackageFacts {
  readonly version: string;
  /** RFC 3339. */
  readonly date: string;
  readonly target: string;
  /** `NAME <ADDRESS>`. */
  readonly maintainer: string;
}

/** Options for making a package. */
export interface PackageOptions extends PackageFacts {
  readonly root: string;
  /** The build: `bin/` and `lib/cicd-toolkit/`. */
  readonly releaseDir: string;
  /** A directory that does not exist; becomes the package's tree. */
  readonly stage: string;
  readonly outDir: string;
  /** The time of every file, in seconds since the epoch. */
  readonly epoch: string;
  /** The bill of materials. */
  readonly sbom: string;
  readonly signal: AbortSignal;
}

/** Where the families of distributions differ. */
export interface PackagePlaces {
  readonly zshCompletions: string;
}

const SHARE = "usr/share";
/** Directory of documents, in the tree. */
export const DOC_PATH = `${SHARE}/doc/${PACKAGE}`;
/** The licences in the tree: of the product, and of what it contains. */
export const LICENSE_PATHS: readonly string[] = [
  `usr/${LIB_PATH}/LICENSE`,
  `usr/${LIB_PATH}/${THIRD_PARTY_LICENSES}`,
];

/** Returns a version as both families order it: a prerelease comes before its release. */
export function packageVersion(version: string): string {
  return version.replace("-", "~").replaceAll("-", ".");
}

/** Makes the tree of files that all packages have. */
export async function makeTree(options: PackageOptions, places: PackagePlaces): Promise<void> {
  await copyPrograms(options);
  await writeDocuments(options);
  await writeCommandFiles(options, places);
  await run(["chmod", "-R", "u+rwX,go+rX,go-w", options.stage], { signal: options.signal });
}

/** Programs where distributions have them, and units where systemd looks for a package's. */
async function copyPrograms({ root, releaseDir, stage, signal }: PackageOptions): Promise<void> {
  const units = `${stage}/usr/lib/systemd/user`;
  await Deno.mkdir(units, { recursive: true });
  await run(["cp", "-R", `${releaseDir}/bin`, `${stage}/usr/bin`], { signal });
  const lib = `${stage}/usr/${LIB_PATH}`;
  await run(["cp", "-R", `${releaseDir}/${LIB_PATH}`, lib], { signal });
  // `cicd-runner doctor` and `install` look for them beside the programs.
  for await (const { name, isFile } of Deno.readDir(`${lib}/units`)) {
    if (!isFile) continue;
    await Deno.rename(`${lib}/units/${name}`, `${units}/${name}`);
    await Deno.symlink(`../../systemd/user/${name}`, `${lib}/units/${name}`);
  }
  const preset = "50-cicd-toolkit.preset";
  await put(`${stage}/usr/lib/systemd/user-preset/${preset}`, await readPart(root, preset));
}

async function writeDocuments({ stage, releaseDir, sbom, signal }: PackageOptions): Promise<void> {
  await put(`${stage}/${DOC_PATH}/cicd-toolkit.cdx.json`, sbom);
  await run(["cp", "-R", `${releaseDir}/deploy`, `${stage}/${DOC_PATH}/examples`], { signal });
}

/** Manual pages and completions, of the same description of the commands as `--help`. */
async function writeCommandFiles(
  { root, stage, signal }: PackageOptions,
  { zshCompletions }: PackagePlaces,
): Promise<void> {
  const say = (...args: readonly string[]) =>
    run([Deno.execPath(), "run", "-A", "--quiet", `${root}/cmd/runner/main.ts`, ...args], {
      cwd: root,
      signal,
    });
  const man = `${stage}/${SHARE}/man/man1`;
  await put(`${man}/cicd-runner.1`, await say("manual"));
  await put(`${man}/cicd-agent.1`, await readPart(root, "cicd-agent.1"));
  await compress([`${man}/cicd-runner.1`, `${man}/cicd-agent.1`], signal);
  const completions = [
    ["bash", `${SHARE}/bash-completion/completions/cicd-runner`],
    ["zsh", `${zshCompletions}/_cicd-runner`],
    ["fish", `${SHARE}/fish/vendor_completions.d/cicd-runner.fish`],
  ] as const;
  for (const [shell, path] of completions) {
    await put(`${stage}/${path}`, await say("completion", shell));
  }
}

/** Compresses files as policies ask, the same bytes each time. */
export async function compress(paths: readonly string[], signal: AbortSignal): Promise<void> {
  await run(["gzip", "--best", "--no-name", ...paths], { signal });
}

/** Reads a file of `package/`. */
export function readPart(root: string, name: string): Promise<string> {
  return Deno.readTextFile(`${root}/tools/release/package/${name}`);
}

/** Writes a file with its directories. */
export async function put(path: string, text: string, mode = 0o644): Promise<void> {
  await Deno.mkdir(path.replace(/\/[^/]*$/, ""), { recursive: true });
  await Deno.writeTextFile(path, text, { mode });
}

/** Returns the paths of everything below a directory but directories, sorted. */
export async function filesBelow(directory: string, below = ""): Promise<readonly string[]> {
  const paths: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(`${directory}/${below}`)) {
    if (isDirectory) paths.push(...await filesBelow(directory, `${below}${name}/`));
    else paths.push(`${below}${name}`);
  }
  return paths.sort();
}
