/**
 * The machine, as the installation of units sees and changes it.
 *
 * @module
 */
import type { Clock } from "@lib/core/clock.ts";
import type { DoctorPorts } from "@lib/features/install/gather.ts";
import type { CommandEnd } from "@lib/features/install/facts.ts";

/** The account that runs the runner. */
export interface Owner {
  readonly user: string;
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
  readonly configDir: string;
  readonly stateDir: string;
  readonly cacheDir: string;
  /** `$XDG_DATA_HOME`, where systemd keeps the stamps of timers. */
  readonly dataHome: string;
  readonly runtimeDir: string;
  /** The start of a command line that runs the rest as the owner; empty if the caller is it. */
  readonly asOwner: readonly string[];
}

/** For whom, from where and to where units are installed. */
export interface InstallSubject {
  /** Units for all users of the machine, rather than for the owner alone. */
  readonly system: boolean;
  /** `undefined`: units for all users, and no runner is set up. */
  readonly owner: Owner | undefined;
  /** Holds the unit files of this version. */
  readonly unitsDir: string;
  /** Where the units go: `~/.config/systemd/user`. */
  readonly unitDir: string;
  /** Holds the installed programs; `undefined` in a checkout. */
  readonly binDir: string | undefined;
}

/** The machine, as the installation changes it. */
export interface InstallPorts extends Pick<DoctorPorts, "readText" | "stat"> {
  readonly subject: InstallSubject;
  readonly clock: Clock;
  /** Runs a program of the machine; `undefined` if there is none of that name. */
  readonly run: (
    argv: readonly string[],
    signal: AbortSignal,
    stdin?: string,
  ) => Promise<CommandEnd | undefined>;
  /** Names in a directory; none if it does not exist. */
  readonly list: (path: string, signal: AbortSignal) => Promise<readonly string[]>;
  /** Puts a file in place by rename and makes its directory; others see the old or the new one. */
  readonly writeText: (path: string, text: string, signal: AbortSignal) => Promise<void>;
  /** Removes a file, and its drop-in directory if that is empty then; does nothing if there is none. */
  readonly removeFile: (path: string, signal: AbortSignal) => Promise<void>;
}

/** One thing that was done, or would be. */
export interface InstallStep {
  readonly kind: "make" | "write" | "remove" | "run" | "try" | "check";
  /** The path, or the command line. */
  readonly what: string;
  /** `warning`: it failed or was left out, and the installation is of use without it. */
  readonly outcome: "done" | "planned" | "warning" | "failed";
  /** Why it failed, or what came of it. */
  readonly detail?: string;
}
