/**
 * The terminal in which `attach` runs: raw while attached, as before in every way out.
 *
 * @module
 */
import { Libc } from "@lib/foundations/systemd/libc.ts";

/**
 * Undoes the modes that programs of the terminal may have set: mouse, paste, keypad, colours, output
 * held back, letters replaced by lines, reversed and relative screens.
 */
const RESET_MODES = "\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1004l\x1b[?1006l\x1b[?2004l" +
  "\x1b[?9l\x1b[?1005l\x1b[?1015l\x1b[?1016l\x1b[?2026l\x1b[?5l" +
  "\x1b[?1l\x1b>\x1b[?7h\x1b[?25h\x1b[4l\x1b[0m\x1b(B\x0f";
/** Undoes margins. That alone would move the cursor to the corner, and what comes next with it. */
const RESET_MARGINS = "\x1b7\x1b[r\x1b8";
/** Lines count from the corner again. It moves the cursor there, so that it is only undone if set. */
const RESET_ORIGIN = "\x1b[?6l";
// deno-lint-ignore no-control-regex -- it begins what is looked for
const ORIGIN = /\x1b\[\?(?:\d+;)*6(?:;\d+)*h/;
const MAIN_SCREEN = "\x1b[?1049l";
/** How a program enters or leaves the alternate screen. */
// deno-lint-ignore no-control-regex -- they begin what is looked for
const ALTERNATE = /\x1b\[\?(?:\d+;)*(?:1049|1047|47)(?:;\d+)*([hl])/g;
const TAIL = 64;

/** Standard input and output, taken over. Disposing gives them back; more than once does no harm. */
export class OwnTerminal implements Disposable {
  readonly isRaw: boolean;
  readonly #encoder = new TextEncoder();
  readonly #decoder = new TextDecoder("latin1");
  #tail = "";
  #isAlternate = false;
  #hasOrigin = false;
  #isLineBegun = false;
  #isOver = false;
  readonly #giveBack = () => this[Symbol.dispose]();

  constructor() {
    this.isRaw = Deno.stdin.isTerminal() && Deno.stdout.isTerminal();
    if (this.isRaw) {
      Deno.stdin.setRaw(true);
      // Elsewhere line feeds return the carriage too, which only full-screen programs mind.
      if (Deno.build.os === "linux") new Libc().showAsIs(0);
    }
    // Also of a defect, which ends the program without disposing anything.
    for (const event of EVENTS) globalThis.addEventListener(event, this.#giveBack);
  }

  /** Writes output of the terminal. */
  async write(bytes: Uint8Array): Promise<void> {
    this.#watch(bytes);
    for (let at = 0; at < bytes.length;) at += await Deno.stdout.write(bytes.subarray(at));
  }

  /** Clears the screen, and undoes all modes, before the whole screen is drawn. */
  async clear(): Promise<void> {
    if (this.isRaw) await this.write(this.#encoder.encode(`${this.#reset()}\x1b[H\x1b[2J`));
  }

  /** Begins a line, so that what comes next is not in the midst of one. */
  beginLine(): void {
    if (!this.isRaw || this.#isAlternate || !this.#isLineBegun) return;
    this.#isLineBegun = false;
    Deno.stdout.writeSync(this.#encoder.encode("\r\n"));
  }

  [Symbol.dispose](): void {
    if (this.#isOver) return;
    this.#isOver = true;
    for (const event of EVENTS) globalThis.removeEventListener(event, this.#giveBack);
    if (!this.isRaw) return;
    try {
      Deno.stdout.writeSync(this.#encoder.encode(this.#reset()));
    } finally {
      Deno.stdin.setRaw(false);
    }
  }

  #reset(): string {
    const origin = this.#hasOrigin ? RESET_ORIGIN : "";
    const screen = this.#isAlternate ? MAIN_SCREEN : "";
    return `${origin}${screen}${RESET_MARGINS}${RESET_MODES}`;
  }

  #watch(bytes: Uint8Array): void {
    const text = this.#tail + this.#decoder.decode(bytes.subarray(-TAIL - 64 * 1024));
    const last = [...text.matchAll(ALTERNATE)].at(-1)?.[1];
    if (last !== undefined) this.#isAlternate = last === "h";
    if (ORIGIN.test(text)) this.#hasOrigin = true;
    this.#isLineBegun = !text.endsWith("\n");
    this.#tail = text.slice(-TAIL);
  }
}

const EVENTS = ["unload", "error", "unhandledrejection"] as const;
