/**
 * The program of a terminal, as the two ways to start it offer it.
 *
 * @module
 */
import type { UnitName } from "@lib/foundations/systemd/unit_name.ts";
import type { EngineAddress } from "@lib/foundations/docker/find_engine.ts";
import type { TerminalLine, TerminalSize } from "@lib/foundations/terminal/pty.ts";

/** A running container. */
export interface ContainerPlace {
  readonly address: EngineAddress;
  readonly container: string;
}

/** A program to start in a terminal. */
export interface ProgramRequest extends TerminalSize {
  readonly id: string;
  readonly argv: readonly [path: string, ...args: string[]];
  readonly env: Readonly<Record<string, string>>;
  /** Absolute. */
  readonly workdir: string;
  readonly maxMs: number;
  /** The unit whose cgroup the program runs in, and with which it ends; absent: one of its own. */
  readonly unit?: UnitName;
  /** The container that it runs in. */
  readonly container?: ContainerPlace;
  readonly limits: {
    readonly cpu?: number;
    readonly memoryBytes?: number;
    readonly tasks?: number;
  };
}

/** The end of a program. */
export interface ProgramEnd {
  readonly exitCode: number | null;
  readonly signal: string | null;
  /** The service manager ended it at its time limit. */
  readonly isTimeLimit: boolean;
  /** Nobody knows how it ended. */
  readonly isLost: boolean;
}

/** A running program and its terminal. */
export interface RunningProgram {
  /** The path of the terminal's device, or another name of the terminal. */
  readonly device: string;
  /** Opens the terminal; called once. */
  open(onData: (bytes: Uint8Array<ArrayBuffer>) => void): TerminalLine;
  /** Returns the name of the program in the foreground, as far as it is known. */
  foreground(): string | undefined;
  /** Resolves when nothing of the program is left. */
  readonly ended: Promise<ProgramEnd>;
  /** Ends the program and everything that it has started. */
  stop(): Promise<void>;
  /** Forgets what was kept for a later agent; after the end, and before the last output is read. */
  forget(): Promise<void>;
}

/** A way to start programs. */
export interface Programs extends AsyncDisposable {
  /** A terminal outlives the agent, and the next one takes it over. */
  readonly outlivesAgent: boolean;
  /**
   * Sets something that was started beforehand aside for a program, and returns its id, with which
   * {@linkcode Programs.start} is to follow.
   */
  readonly reserve?: (
    program: Omit<ProgramRequest, "id" | "columns" | "rows">,
  ) => string | undefined;
  /** Checks whether what an earlier agent has left under an id was never a terminal. */
  readonly isSpare?: (id: string) => boolean;
  /** @throws {CicdError} If it cannot be started. */
  start(request: ProgramRequest, signal: AbortSignal): Promise<RunningProgram>;
  /**
   * Takes over a program of an earlier agent; ends what is left of it, and returns `undefined`, if its
   * terminal is gone or its device is not known.
   */
  adopt(
    id: string,
    device: string | undefined,
    signal: AbortSignal,
  ): Promise<RunningProgram | undefined>;
}
