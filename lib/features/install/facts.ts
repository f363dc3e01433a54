/**
 * The facts about a machine that `doctor` checks.
 *
 * @module
 */
import type { UnitFile } from "@lib/features/install/unit_files.ts";

/** Everything that was found out. `undefined` always means: it could not be. */
export interface DoctorFacts {
  readonly user: string;
  readonly uid: number;
  readonly manager: ManagerFacts;
  /** Whether the user's manager outlives the last session. */
  readonly lingers: boolean | undefined;
  /** `$XDG_RUNTIME_DIR`. */
  readonly runtimeDir: PathFacts | undefined;
  readonly paths: readonly GuardedPath[];
  readonly disk: DiskFacts;
  readonly units: readonly UnitFacts[];
  readonly engine: EngineAnswer;
  /** What `git --version` says; `undefined`: there is no git. */
  readonly git: string | undefined;
  /** What `git lfs version` says. */
  readonly gitLfs: string | undefined;
  readonly runner: RunnerAnswer;
  /** Version of the program that asks. */
  readonly version: string;
}

/** A program's end, as far as it matters here. */
export interface CommandEnd {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** The user's service manager. */
export type ManagerFacts =
  /** The machine was not booted with systemd. */
  | { readonly kind: "no_systemd" }
  /** systemd is there, the user's manager cannot be reached. */
  | { readonly kind: "unreachable"; readonly why: string }
  | {
    readonly kind: "answers";
    /** As systemd gives it, such as `252.39-1~deb12u2`. */
    readonly version: string;
    /** Controllers delegated to the manager, such as `memory`. */
    readonly controllers: readonly string[] | undefined;
  };

/** A path as stat(2) sees it. */
export type PathFacts =
  | { readonly kind: "missing"; readonly path: string }
  | {
    readonly kind: "found";
    readonly path: string;
    /** The permission bits. */
    readonly mode: number;
    readonly uid: number;
  };

/** A path that only its owner should be able to use. */
export interface GuardedPath {
  readonly role: "config_dir" | "config_file" | "state_dir" | "socket" | "key_file";
  readonly facts: PathFacts;
}

/** Room for the state directory. */
export interface DiskFacts {
  readonly path: string;
  readonly freeBytes: number | undefined;
  /** Below this, new jobs are refused. */
  readonly floorBytes: number;
}

/** A unit as this version ships it, and as the machine has it. */
export interface UnitFacts {
  readonly file: UnitFile;
  /** `undefined`: it is not installed. */
  readonly installedText: string | undefined;
  readonly instances: readonly UnitInstance[];
}

/** A loaded unit. */
export interface UnitInstance {
  readonly name: string;
  /** systemd's `ActiveState`. */
  readonly activeState: string;
  /** systemd's `Result`. */
  readonly result: string;
  readonly needsReload: boolean;
  /** systemd's `KillMode`; empty for a unit without processes. */
  readonly killMode: string;
}

/** How the runner answered on its socket. */
export type RunnerAnswer =
  | { readonly kind: "answered"; readonly version: string | undefined }
  | { readonly kind: "silent"; readonly why: string };

/** The container engine, and how it answered. */
export type EngineAnswer =
  | { readonly kind: "none" }
  | {
    readonly kind: "silent";
    readonly why: string;
    /** Whether the configuration or the environment names it, rather than that it was found. */
    readonly isNamed: boolean;
  }
  | {
    readonly kind: "answers";
    /** Such as `unix:///run/docker.sock`. */
    readonly address: string;
    readonly podman: boolean;
    readonly version: string;
    readonly rootless: boolean;
    /** `1` or `2`; empty: it does not say. */
    readonly cgroupVersion: string;
    readonly storageDriver: string;
    /** Which limits the kernel enforces for it. */
    readonly enforces: Readonly<Record<EngineLimit, boolean>>;
  };

/** A limit on a container. */
export type EngineLimit = "cpu" | "memory" | "swap" | "tasks";
