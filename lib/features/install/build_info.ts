/**
 * What was built: `build.json`, which lies beside the programs.
 *
 * @module
 */
import { fromFileUrl } from "@lib/core/file_url.ts";

/**
 * How the programs are laid out: each its own executable, two bundles on one
 * shared runtime, or the sources of a checkout.
 */
export type BuildLayout = "executable" | "shared-runtime" | "source";

/** The facts of one build. */
export interface BuildInfo {
  readonly version: string;
  readonly layout: BuildLayout;
  /** The runtime's version. */
  readonly deno: string;
  /** The platform's triple, such as `x86_64-unknown-linux-gnu`. */
  readonly target: string;
  /** The commit built, if the tree was a clean checkout. */
  readonly commit: string | undefined;
  /** RFC 3339 in UTC; `SOURCE_DATE_EPOCH` if that was set. */
  readonly date: string | undefined;
}

/** Writes `build.json`: the same facts give the same bytes. */
export function formatBuildInfo(info: BuildInfo): string {
  const { version, layout, deno, target, commit, date } = info;
  return JSON.stringify({ version, layout, deno, target, commit, date }, null, 2) + "\n";
}

/**
 * Reads the text of a `build.json`.
 *
 * @returns `undefined` if it is none.
 */
export function parseBuildInfo(text: string): BuildInfo | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
  if (typeof value !== "object" || value === null) return undefined;
  const field = (name: string): string | undefined => {
    const found: unknown = Reflect.get(value, name);
    return typeof found === "string" ? found : undefined;
  };
  const version = field("version");
  const layout = field("layout");
  if (version === undefined || (layout !== "executable" && layout !== "shared-runtime")) {
    return undefined;
  }
  return {
    version,
    layout,
    deno: field("deno") ?? "",
    target: field("target") ?? "",
    commit: field("commit"),
    date: field("date"),
  };
}

/** Where the parts of this installation lie. */
export interface InstallationPaths {
  /** Holds the programs; `undefined` in a checkout. */
  readonly binDir: string | undefined;
  /** Holds `build.json`, `units/`, and the bundles; `undefined` in a checkout. */
  readonly libDir: string | undefined;
  /** The directory of the unit files. */
  readonly unitsDir: string;
}

/**
 * Finds the parts of this installation from where the program itself lies.
 *
 * @param execPath The running executable: the program, or the runtime it shares.
 * @param mainModule URL of the main module.
 */
export function installationPaths(execPath: string, mainModule: string): InstallationPaths {
  if (execPath.endsWith("/deno")) {
    const module = fromFileUrl(mainModule);
    const checkout = /^(.*)\/cmd\/[a-z]+\/main\.ts$/.exec(module)?.[1];
    if (checkout !== undefined) {
      return { binDir: undefined, libDir: undefined, unitsDir: `${checkout}/units` };
    }
    const libDir = parent(module);
    return { binDir: `${parent(parent(libDir))}/bin`, libDir, unitsDir: `${libDir}/units` };
  }
  // An upgrade moves `current` on; the directory of one release it removes some day.
  const binDir = parent(execPath).replace(/\/releases\/[^/]+\/bin$/, "/current/bin");
  const libDir = `${parent(binDir)}/lib/cicd-toolkit`;
  return { binDir, libDir, unitsDir: `${libDir}/units` };
}

function parent(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf("/")));
}
