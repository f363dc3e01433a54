/**
 * Keeps what a terminal shows, so that it can be drawn for who joins, also by a later agent.
 *
 * What a terminal with viewers shows is only followed when it is needed, or a piece has gathered: the
 * way of a key and its echo does not wait for it.
 *
 * @module
 */
import type { Logger } from "@lib/core/logger.ts";
import { openRegular } from "@lib/foundations/files/regular_file.ts";
import { writeAtomicSync } from "@lib/foundations/files/records.ts";
import type { TerminalSize } from "@lib/foundations/terminal/pty.ts";
import type { Screen } from "@lib/foundations/terminal/screen.ts";
import { joined } from "@lib/features/terminals/viewer.ts";

/** Options for {@linkcode ScreenHistory}. */
export interface ScreenHistoryOptions {
  readonly size: TerminalSize;
  /** Where a later agent finds it; absent: nowhere. */
  readonly file?: string;
  /** Gets a terminal's answers to the program, if nobody else would give them. */
  readonly answer: (text: string) => void;
  /** Called when less waits to be followed than before. */
  readonly onDrained: () => void;
  readonly log: Logger;
}

/** Lines above the screen that are kept. */
const SCROLLBACK = 1_000;
/** Output that gathers before it is followed. */
const GATHER_BYTES = 64 * 1024;
/** Longest piece that is followed at once. */
const PIECE_BYTES = 64 * 1024;
/** Size at which the file begins anew with a drawn screen. */
const FILE_MAX_BYTES = 512 * 1024;

type Piece =
  | { readonly kind: "output"; readonly bytes: Uint8Array; readonly answers: boolean }
  | { readonly kind: "size"; readonly size: TerminalSize }
  | { readonly kind: "draw"; readonly scrollback: number; readonly drawn: (text: string) => void };

/** The screen of one terminal. */
export class ScreenHistory implements Disposable {
  readonly #options: ScreenHistoryOptions;
  readonly #pieces: Piece[] = [];
  #waiting = 0;
  #screen: Screen | undefined;
  #isFollowing = false;
  #answers = false;
  #isOver = false;
  #file: Deno.FsFile | undefined;
  #fileBytes = 0;
  /** Output since the screen that the file is to begin with. */
  #since: Uint8Array[] | undefined;

  constructor(options: ScreenHistoryOptions) {
    this.#options = options;
  }

  /** Bytes that wait to be followed. */
  get waiting(): number {
    return this.#waiting;
  }

  /** The title that the program has set; hostile. */
  get title(): string {
    return this.#screen?.title ?? "";
  }

  /** Takes output. @param isWatched A viewer answers the program's questions. */
  output(bytes: Uint8Array, isWatched: boolean): void {
    this.#pieces.push({ kind: "output", bytes, answers: !isWatched });
    this.#waiting += bytes.length;
    this.#append(bytes);
    if (!isWatched || this.#waiting > GATHER_BYTES) this.#follow();
  }

  /** Takes what the file of an earlier agent holds. */
  restore(bytes: Uint8Array): void {
    this.#pieces.push({ kind: "output", bytes, answers: false });
    this.#waiting += bytes.length;
    this.#follow();
    this.#rewrite();
  }

  /** Changes the size. */
  resize(size: TerminalSize): void {
    const last = this.#pieces.at(-1);
    if (last?.kind === "size") this.#pieces.pop();
    this.#pieces.push({ kind: "size", size });
  }

  /** Draws the screen as it is now, with lines above it. */
  draw(scrollback: number): Promise<string> {
    const { promise, resolve } = Promise.withResolvers<string>();
    this.#pieces.push({ kind: "draw", scrollback, drawn: resolve });
    this.#follow();
    return promise;
  }

  [Symbol.dispose](): void {
    this.#isOver = true;
    this.#screen?.[Symbol.dispose]();
    this.#file?.close();
    this.#file = undefined;
  }

  #follow(): void {
    if (this.#isFollowing || this.#isOver) return;
    this.#isFollowing = true;
    void this.#work().catch((error: unknown) => {
      this.#options.log.error("Cannot follow the screen of a terminal", { error });
    }).finally(() => this.#isFollowing = false);
  }

  async #work(): Promise<void> {
    const { size, answer, onDrained } = this.#options;
    if (this.#screen === undefined) {
      // Large, and most terminals are never joined.
      const { openScreen } = await import("@lib/foundations/terminal/screen.ts");
      this.#screen = openScreen(size, {
        scrollback: SCROLLBACK,
        answer: (text) => {
          if (this.#answers) answer(text);
        },
      });
    }
    const screen = this.#screen;
    for (let piece = this.#pieces.shift(); piece !== undefined; piece = this.#pieces.shift()) {
      if (this.#isOver) return;
      if (piece.kind === "size") screen.resize(piece.size);
      else if (piece.kind === "draw") piece.drawn(screen.draw(piece.scrollback));
      else {
        const bytes = this.#gather(piece.bytes, piece.answers);
        this.#answers = piece.answers;
        await new Promise<void>((resolve) => screen.write(bytes, resolve));
        this.#waiting -= bytes.length;
        onDrained();
      }
    }
  }

  /** Joins the output that follows, up to a piece. */
  #gather(first: Uint8Array, answers: boolean): Uint8Array {
    const parts = [first];
    let length = first.length;
    for (let next = this.#pieces[0]; next?.kind === "output"; next = this.#pieces[0]) {
      if (next.answers !== answers || length + next.bytes.length > PIECE_BYTES) break;
      parts.push(next.bytes);
      length += next.bytes.length;
      this.#pieces.shift();
    }
    return joined(parts, length);
  }

  #append(bytes: Uint8Array): void {
    const { file, log } = this.#options;
    if (file === undefined) return;
    this.#since?.push(bytes);
    try {
      this.#file ??= openRegular(file, { create: true, append: true, mode: 0o600 });
      for (let at = 0; at < bytes.length;) at += this.#file.writeSync(bytes.subarray(at));
    } catch (error) {
      log.warning("Cannot keep the screen of a terminal for a later agent", { error });
    }
    this.#fileBytes += bytes.length;
    if (this.#fileBytes > FILE_MAX_BYTES && this.#since === undefined) this.#rewrite();
  }

  /** Begins the file anew: with the screen of this moment, and what has come since. */
  #rewrite(): void {
    const { file, log } = this.#options;
    if (file === undefined) return;
    const since: Uint8Array[] = this.#since = [];
    void this.draw(SCROLLBACK / 2).then((text) => {
      this.#since = undefined;
      if (this.#isOver) return;
      const bytes = joined(
        [new TextEncoder().encode(text), ...since],
        new TextEncoder().encode(text).length + since.reduce((sum, { length }) => sum + length, 0),
      );
      this.#file?.close();
      this.#file = undefined;
      writeAtomicSync(file, bytes);
      this.#fileBytes = bytes.length > FILE_MAX_BYTES / 2 ? 0 : bytes.length;
    }).catch((error: unknown) => {
      log.warning("Cannot keep the screen of a terminal for a later agent", { error });
    });
  }
}
