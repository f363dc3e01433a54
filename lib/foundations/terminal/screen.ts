/**
 * The screen of a terminal, kept by a terminal without a window.
 *
 * @module
 */
// @ts-types="./xterm.d.ts"
import { SerializeAddon } from "@xterm/addon-serialize";
// @ts-types="./xterm.d.ts"
import { Terminal } from "@xterm/headless";
import type { TerminalSize } from "@lib/foundations/terminal/pty.ts";

/** A screen that follows the output of a program. */
export interface Screen extends Disposable {
  /** The title that the program has set; hostile. */
  readonly title: string;
  /** Follows output; `done` is called when it has been followed. */
  write(bytes: Uint8Array, done: () => void): void;
  resize(size: TerminalSize): void;
  /**
   * Returns what draws the screen on an empty terminal: its text, colours, cursor and modes.
   *
   * @param scrollback Lines above the screen that it includes.
   */
  draw(scrollback: number): string;
}

/** Longest title that is kept. */
const TITLE_MAX = 256;

/**
 * Places the cursor: the add-on moves it from where it believes it to be, which is wrong after wide
 * characters and changes of the size.
 */
function cursorOf({ buffer, cols, rows, modes }: Terminal): string {
  const { cursorX, cursorY } = buffer.active;
  // At the right margin the next character wraps, which no place tells; the add-on knows.
  if (cursorX >= cols || cursorY >= rows || modes.originMode) return "";
  return `\x1b[${cursorY + 1};${cursorX + 1}H`;
}

/** Makes an empty screen. @param answer Gets what a terminal answers to the program's questions. */
export function openScreen(
  { columns, rows }: TerminalSize,
  { scrollback, answer }: {
    readonly scrollback: number;
    readonly answer: (text: string) => void;
  },
): Screen {
  const terminal = new Terminal({ cols: columns, rows, scrollback, allowProposedApi: true });
  const serializer = new SerializeAddon();
  terminal.loadAddon(serializer);
  let title = "";
  terminal.onTitleChange((text) => title = text.slice(0, TITLE_MAX));
  terminal.onData(answer);
  return {
    get title() {
      return title;
    },
    write: (bytes, done) => terminal.write(bytes, done),
    resize: (size) => terminal.resize(size.columns, size.rows),
    draw: (lines) => `${serializer.serialize({ scrollback: lines })}${cursorOf(terminal)}`,
    [Symbol.dispose]: () => terminal.dispose(),
  };
}
