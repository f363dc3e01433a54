/**
 * The port of terminals: what one feature runs, another shows elsewhere.
 *
 * @module
 */
import type { ProjectName } from "@lib/core/ids.ts";

/** The terminal to open. */
export interface TerminalOptions {
  readonly project: ProjectName;
  /** Program and arguments; empty: the account's shell. */
  readonly command: readonly string[];
  readonly columns: number;
  readonly rows: number;
  /** For the journal, to follow "opened". */
  readonly by: string;
  /** Takes output in order; while its promise is pending, the program is held. */
  readonly onOutput: (bytes: Uint8Array) => void | Promise<void>;
  /** Takes words for the person. */
  readonly onNotice: (code: string, text: string) => void;
}

/** How a terminal ended. */
export interface TerminalEnding {
  /** `undefined` if a signal or another reason ended it. */
  readonly exitCode: number | undefined;
  /** To follow "the terminal". */
  readonly text: string;
  /** Its program exited by itself. */
  readonly hasExited: boolean;
}

/** An open terminal of its own: it ends a while after its owner is gone. Disposing it leaves it. */
export interface OwnedTerminal extends Disposable {
  /** Resolves with its end, after the last output was taken. */
  readonly ended: Promise<TerminalEnding>;
  /** Types; resolves when more may be typed. */
  write(bytes: Uint8Array): Promise<void>;
  resize(size: { readonly columns: number; readonly rows: number }): Promise<void>;
  /** Ends it and everything in it. */
  kill(by: string, signal: AbortSignal): Promise<void>;
}

/** Opens a terminal. @throws {CicdError} */
export type OpenTerminal = (
  options: TerminalOptions,
  signal: AbortSignal,
) => Promise<OwnedTerminal>;
