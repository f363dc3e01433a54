/**
 * A whole terminal for a view that changes: its own screen, keys without Enter, changes of its size.
 *
 * @module
 */

/** The alternate screen, without a cursor. */
const ENTER = "\x1b[?1049h\x1b[?25l";
const LEAVE = "\x1b[?25h\x1b[?1049l";
const HOME = "\x1b[H";
const CLEAR_TO_LINE_END = "\x1b[K";
const CLEAR_BELOW = "\x1b[J";

/** Handlers of the events of a terminal. */
export interface TerminalEvents {
  readonly onKey: (key: string) => void;
  readonly onResize: () => void;
  /** A signal asks the program to end. */
  readonly onEnd: (signal: Deno.Signal) => void;
}

/** An open terminal; disposing of it brings back what was there before. */
export interface LiveTerminal extends Disposable {
  /** Shows lines, each at most as wide as the terminal. */
  readonly show: (lines: readonly string[]) => void;
}

/** Takes over the terminal of this process. */
export function openLiveTerminal({ onKey, onResize, onEnd }: TerminalEvents): LiveTerminal {
  const encoder = new TextEncoder();
  const write = (text: string) => {
    const bytes = encoder.encode(text);
    for (let at = 0; at < bytes.length;) at += Deno.stdout.writeSync(bytes.subarray(at));
  };
  const parts = new DisposableStack();
  const listen = (signal: Deno.Signal, act: () => void) => {
    Deno.addSignalListener(signal, act);
    parts.defer(() => Deno.removeSignalListener(signal, act));
  };
  listen("SIGWINCH", onResize);
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    listen(signal, () => onEnd(signal));
  }
  if (Deno.stdin.isTerminal()) {
    Deno.stdin.setRaw(true);
    parts.defer(() => {
      Deno.stdin.setRaw(false);
      // Ends the read below, for which the process would wait otherwise.
      Deno.stdin.close();
    });
    void readKeys(onKey);
  }
  write(ENTER);
  parts.defer(() => write(LEAVE));
  return {
    // Without the terminal's own processing, a line break does not return to the first column.
    show: (lines) =>
      write(`${HOME}${lines.map((line) => line + CLEAR_TO_LINE_END).join("\r\n")}${CLEAR_BELOW}`),
    [Symbol.dispose]: () => parts.dispose(),
  };
}

async function readKeys(onKey: (key: string) => void): Promise<void> {
  const bytes = new Uint8Array(64);
  const decoder = new TextDecoder();
  try {
    for (let count = await Deno.stdin.read(bytes); count !== null;) {
      for (const key of decoder.decode(bytes.subarray(0, count))) onKey(key);
      count = await Deno.stdin.read(bytes);
    }
  } catch (error) {
    // Closed at the end of the view, or the terminal is gone.
    if (!(error instanceof Error)) throw error;
  }
}
