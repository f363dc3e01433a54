/**
 * What installing units needs of the machine.
 *
 * @module
 */
import type { ProbeResult } from "@lib/features/install/gather.ts";

/** For whom, from where and to where units are installed. */
export interface InstallSubject {
  readonly user: string;
  readonly home: string;
  /** Holds the unit files of this version. */
  readonly unitsDir: string;
  /** Where the units go: `~/.config/systemd/user`. */
  readonly unitDir: string;
  /** Holds this installation's programs; `undefined` in a checkout. */
  readonly binDir: string | undefined;
  readonly configDir: string;
  readonly stateDir: string;
  readonly cacheDir: string;
  /** `$XDG_RUNTIME_DIR`; `undefined`: there can be no user manager. */
  readonly runtimeDir: string | undefined;
}

/** The machine, as the installation changes it. */
export interface InstallPorts {
  readonly subject: InstallSubject;
  /** Runs a program of the machine; `undefined` if there is none of that name. */
  readonly run: (argv: readonly string[], signal: AbortSignal) => Promise<ProbeResult | undefined>;
  /** `undefined` if the file does not exist or cannot be read. */
  readonly readText: (path: string, signal: AbortSignal) => Promise<string | undefined>;
  readonly exists: (path: string, signal: AbortSignal) => Promise<boolean>;
  /** Puts a file in place by rename and makes its folder; others see the old or the new one. */
  readonly writeText: (path: string, text: string, signal: AbortSignal) => Promise<void>;
  /** Removes a file, and its folder if that is empty then; does nothing if there is none. */
  readonly removeFile: (path: string, signal: AbortSignal) => Promise<void>;
  /** Makes a folder for its owner alone; does nothing if it exists. */
  readonly makePrivateDir: (path: string, signal: AbortSignal) => Promise<void>;
}

/** One thing that was done, or would be. */
export interface InstallStep {
  readonly kind: "make" | "write" | "remove" | "run" | "try";
  /** The path, or the command line. */
  readonly what: string;
  readonly outcome: "done" | "planned" | "failed";
  /** Why it failed, or what came of it. */
  readonly detail?: string;
}
