/**
 * The contents of a build: programs, flags and names.
 *
 * @module
 */
export {
  archiveName,
  platformName,
  RELEASE_TARGETS,
} from "@lib/features/install/upgrade/release_files.ts";

/** A module in a file of its own, which is loaded on first use. */
export interface LazyModule {
  /** As it is imported. */
  readonly name: string;
  /** Its file, from the root of the tree; absent for a package. */
  readonly file?: string;
  /** The exports that are imported. */
  readonly exports: string;
  /** Its compiled code is kept between runs, where the runtime is shared. */
  readonly keepsCode?: boolean;
  /** As of {@linkcode Program}. */
  readonly without?: readonly string[];
}

/** One of the two programs. */
export interface Program {
  /** Name of the executable. */
  readonly name: string;
  /** Entry file, from the root of the tree. */
  readonly entry: string;
  /** File name of its bundle. */
  readonly bundle: string;
  /** Files of each feature that the program never loads, such as `runner.ts` of the agent. */
  readonly without?: readonly string[];
  /** A module of the entry with a bundle of its own, which is loaded on first use. */
  readonly rest?: LazyModule;
  /** A smaller bundle for one of its commands, on a shared runtime. */
  readonly leaner?: Pick<Program, "entry" | "bundle" | "rest"> & { readonly command: string };
}

const AGENT_WITHOUT = ["runner.ts", "cleaning.ts", "commands.ts"];

/** Both programs. */
export const PROGRAMS: readonly Program[] = [
  {
    name: "cicd-runner",
    entry: "cmd/runner/main.ts",
    bundle: "runner.js",
    rest: { name: "./all_commands.ts", file: "cmd/runner/all_commands.ts", exports: "runAny" },
    leaner: {
      command: "daemon",
      entry: "cmd/runner/daemon_main.ts",
      bundle: "daemon.js",
      rest: {
        name: "../serve.ts",
        file: "cmd/runner/serve.ts",
        exports: "serve",
        keepsCode: true,
        without: ["commands.ts"],
      },
    },
  },
  {
    name: "cicd-agent",
    entry: "cmd/agent/main.ts",
    bundle: "agent.js",
    without: AGENT_WITHOUT,
    rest: {
      name: "./whole_agent.ts",
      file: "cmd/agent/whole_agent.ts",
      exports: "runWhole",
      keepsCode: true,
      without: AGENT_WITHOUT,
    },
  },
];

/**
 * The permissions of both programs. The units confine them instead: `docs/security.md` explains
 * why a list of permissions would protect nothing.
 */
export const PERMISSION_FLAGS: readonly string[] = ["--no-prompt", "--allow-all"];

/**
 * A young generation of 2 MiB: with the default of 16, memory use doubles under load; with 1, both
 * programs take a tenth more CPU time under load.
 * The programs call the collector when they have become idle, which gives back what a burst of jobs
 * leaves. Type feedback stays lazy: from the first call on, it would cost 5 MiB after a burst, and no
 * longer saves CPU time.
 */
export const V8_FLAGS = "--v8-flags=--max-semi-space-size=2,--expose-gc";

/**
 * On a terminal, the runtime otherwise clears the current line at every start, for a progress bar:
 * with it go the beginning of a line that another program has written, and a prompt.
 */
const QUIET_FLAGS: readonly string[] = ["--quiet"];

/** Keeps the shared runtime away from configuration files, registries and the network. */
export const OFFLINE_FLAGS: readonly string[] = [
  "--cached-only",
  "--no-config",
  "--no-lock",
  "--no-npm",
  "--no-remote",
];

/** The version of Deno that the programs are made for: it becomes part of every build. */
export const DENO_VERSION = "2.9.6";

/**
 * Checks the version of Deno that builds.
 *
 * @throws {Error} If it is not {@linkcode DENO_VERSION}.
 */
export function requireDeno(found: string): void {
  if (found === DENO_VERSION) return;
  throw new Error(
    `Cannot build with Deno ${found}: the programs are made for Deno ${DENO_VERSION}; ` +
      `install it with "npm install --global deno@${DENO_VERSION}"`,
  );
}

/** Directory of the other files, below the parent of `bin/`. */
export const LIB_PATH = "lib/cicd-toolkit";

/** Name of the file, in {@linkcode LIB_PATH}, with the licences of what the programs contain. */
export const THIRD_PARTY_LICENSES = "THIRD_PARTY_LICENSES";

/**
 * Fills in the template of a launcher.
 *
 * @param origin Where a copy of the launcher finds the release; absent: nowhere but in the usual
 * places, as in an archive, which may be unpacked anywhere.
 */
export function launcherText(template: string, program: Program, origin?: string): string {
  const place = origin === undefined ? "" : `'${origin.replaceAll("'", `'\\''`)}/${LIB_PATH}'`;
  const flags = [...QUIET_FLAGS, ...OFFLINE_FLAGS, ...PERMISSION_FLAGS, V8_FLAGS].join(" ");
  return template
    .replaceAll("@name@", program.name)
    .replaceAll("@bundle@", program.bundle)
    .replaceAll("@flags@", flags)
    .replaceAll("@origin@", () => place)
    .replaceAll("@leaner_command@", program.leaner?.command ?? "")
    .replaceAll("@leaner_bundle@", program.leaner?.bundle ?? program.bundle);
}
