/**
 * The program of a terminal and its environment: that of a person who has logged in, not of a job.
 *
 * @module
 */
import type { Account } from "@lib/core/account.ts";
import type { ProjectName } from "@lib/core/ids.ts";
import type { ContainerPlace } from "@lib/features/terminals/program.ts";
import type { UnitName } from "@lib/foundations/systemd/unit_name.ts";
import type { Config } from "@lib/foundations/config/config.ts";
import { mayPass } from "@lib/foundations/process/scrubbed_env.ts";
import { JOB_DEFAULTS } from "@lib/spine/spec/keys.ts";

/** The program that a terminal runs. */
export interface TerminalProgram {
  /** The command as it was given. */
  readonly shown: string;
  readonly argv: readonly [path: string, ...args: string[]];
  readonly env: Readonly<Record<string, string>>;
  readonly workdir: string;
  /** The unit in whose cgroup it runs. */
  readonly unit?: UnitName;
  /** The container that it runs in. */
  readonly container?: ContainerPlace;
  readonly limits: {
    readonly cpu?: number;
    readonly memoryBytes?: number;
    readonly tasks?: number;
  };
}

/** The variables that tell programs what a terminal can show. */
export const COLOURS = { TERM: "xterm-256color", COLORTERM: "truecolor" } as const;

/** The language, the way to the account's services, and the search path. */
const PASSED = [
  "PATH",
  "LANG",
  "LANGUAGE",
  "LC_ALL",
  "LC_CTYPE",
  "TZ",
  "XDG_RUNTIME_DIR",
  "DBUS_SESSION_BUS_ADDRESS",
] as const;

/** Makes the program of a terminal. @param command Empty: the account's shell. */
export function terminalProgram(
  command: readonly string[],
  { account, project, config, env }: {
    readonly account: Account;
    readonly project: ProjectName;
    readonly config: Config;
    readonly env: Readonly<Record<string, string | undefined>>;
  },
): TerminalProgram {
  const { username, shell, home } = account;
  const { env: configured, passEnv, limits } = config.ofProject(JOB_DEFAULTS, project);
  const passed = [...PASSED, ...passEnv.filter(mayPass)].flatMap((name) => {
    const value = env[name];
    return value === undefined ? [] : [[name, value] as const];
  });
  return {
    shown: command.length === 0 ? shell : command.join(" "),
    argv: command.length === 0 ? [shell, "-l"] : found(command),
    env: {
      PATH: "/usr/local/bin:/usr/bin:/bin",
      LANG: "C.UTF-8",
      HOME: home,
      USER: username,
      LOGNAME: username,
      SHELL: shell,
      ...Object.fromEntries(passed),
      ...COLOURS,
      ...configured,
      CICD_PROJECT: project,
    },
    workdir: home,
    limits,
  };
}

/** The shell finds the program as people expect, and says so if there is none. */
export function found(command: readonly string[]): TerminalProgram["argv"] {
  return ["/bin/sh", "-c", 'exec "$@"', "sh", ...command];
}
