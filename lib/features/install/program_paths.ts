/**
 * The layout of this installation: where its programs and their files lie.
 *
 * @module
 */
import { dirname } from "node:path";
import { CicdError } from "@lib/core/errors.ts";
import { fromFileUrl } from "@lib/core/file_url.ts";
import { existsSync } from "@lib/foundations/files/records.ts";

/** The layout of the running program. */
type ProgramLayout =
  /** The sources of a checkout. */
  | { readonly kind: "source"; readonly root: string }
  /** Two bundles on one shared runtime. */
  | { readonly kind: "shared-runtime"; readonly prefix: string; readonly libDir: string }
  /** Each program is its own executable. */
  | { readonly kind: "executable" };

/**
 * Derives the layout from where the program lies.
 *
 * @param execPath The running executable: the program, or the runtime it shares.
 * @param mainModule URL of the main module.
 */
export function layoutOf(execPath: string, mainModule: string): ProgramLayout {
  if (!execPath.endsWith("/deno")) return { kind: "executable" };
  const main = fromFileUrl(mainModule);
  const root = /^(.*)\/cmd\/[a-z]+\/main\.ts$/.exec(main)?.[1];
  if (root !== undefined) return { kind: "source", root };
  const libDir = dirname(main);
  return { kind: "shared-runtime", prefix: dirname(dirname(libDir)), libDir };
}

/** Returns the command of a program of this installation, to be followed by its arguments. */
export function programCommand(
  program: "runner" | "agent",
  execPath: string,
  mainModule: string,
): readonly string[] {
  const layout = layoutOf(execPath, mainModule);
  switch (layout.kind) {
    case "source":
      return [execPath, "run", "--quiet", "--allow-all", `${layout.root}/cmd/${program}/main.ts`];
    case "shared-runtime":
      return [`${layout.prefix}/bin/cicd-${program}`];
    case "executable":
      return [program === "runner" ? execPath : `${dirname(execPath)}/cicd-${program}`];
  }
}

/**
 * Returns the command of the agent: `cicd-agent`, or without it `cicd-runner agent`.
 *
 * @throws {CicdError} `agent_missing` if neither is there.
 */
export function agentCommand(
  execPath: string,
  mainModule: string,
  isThere: (path: string) => boolean = existsSync,
): readonly string[] {
  const agent = programCommand("agent", execPath, mainModule);
  const runner = programCommand("runner", execPath, mainModule);
  if (isThere(agent[0] ?? "")) return agent;
  if (isThere(runner[0] ?? "")) return [...runner, "agent"];
  throw new CicdError(
    "agent_missing",
    `Cannot find cicd-agent: "${agent[0]}" does not exist, nor does "${runner[0]}"; install both`,
  );
}

/** The directories of this installation. */
interface InstallationPaths {
  /** Holds the programs; `undefined` in a checkout. */
  readonly binDir: string | undefined;
  /** Holds `build.json`, `units/`, and the bundles; `undefined` in a checkout. */
  readonly libDir: string | undefined;
  readonly unitsDir: string;
}

/** Returns the directories; parameters as of {@linkcode layoutOf}. */
export function installationPaths(execPath: string, mainModule: string): InstallationPaths {
  const layout = layoutOf(execPath, mainModule);
  switch (layout.kind) {
    case "source":
      return { binDir: undefined, libDir: undefined, unitsDir: `${layout.root}/units` };
    case "shared-runtime": {
      const { prefix, libDir } = layout;
      return { binDir: `${prefix}/bin`, libDir, unitsDir: `${libDir}/units` };
    }
    case "executable": {
      // An upgrade moves `current` on; the directory of one release is removed some day.
      const binDir = dirname(execPath).replace(/\/releases\/[^/]+\/bin$/, "/current/bin");
      const libDir = `${dirname(binDir)}/lib/cicd-toolkit`;
      return { binDir, libDir, unitsDir: `${libDir}/units` };
    }
  }
}
