/**
 * Standard output and standard error of a command.
 *
 * @module
 */
import { chooseColour } from "@lib/foundations/log/choose_format.ts";

/** Whoever read standard output has had enough. */
export class OutputClosedError extends Error {
  override readonly name = "OutputClosedError";
}

/** Where a command writes. */
export interface Output {
  readonly isTerminal: boolean;
  readonly isColoured: boolean;
  /** Size of the terminal; `undefined` if there is none. */
  size(): { readonly columns: number; readonly rows: number } | undefined;
  /** Writes all bytes. @throws {OutputClosedError} If nobody reads any more. */
  write(bytes: Uint8Array): Promise<void>;
  /** Writes a text and a line break. @throws {OutputClosedError} As above. */
  line(text: string): Promise<void>;
  /** Writes a value as one line of JSON. @throws {OutputClosedError} As above. */
  json(value: unknown): Promise<void>;
  /** Writes a line about the course of things to standard error; never fails. */
  note(text: string): void;
}

/** Opens the output of this process. */
export function openOutput(env: Readonly<Record<string, string | undefined>>): Output {
  const isTerminal = Deno.stdout.isTerminal();
  const encoder = new TextEncoder();
  const write = async (bytes: Uint8Array): Promise<void> => {
    let written = 0;
    while (written < bytes.length) {
      try {
        written += await Deno.stdout.write(bytes.subarray(written));
      } catch (error) {
        if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
        throw new OutputClosedError("Nobody reads the output", { cause: error });
      }
    }
  };
  return {
    isTerminal,
    isColoured: chooseColour({ isTerminal, env }),
    size: () => isTerminal ? Deno.consoleSize() : undefined,
    write,
    line: (text) => write(encoder.encode(`${text}\n`)),
    json: (value) => write(encoder.encode(`${JSON.stringify(value)}\n`)),
    note: (text) => console.error(`cicd-runner: ${text}`),
  };
}
