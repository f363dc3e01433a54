/**
 * A terminal that a person sees in the console.
 *
 * @module
 */
import { ignore, messageOf } from "@lib/core/errors.ts";
import type { Clock } from "@lib/core/clock.ts";
import type { OwnedTerminal, TerminalEnding, TerminalOptions } from "@lib/api/terminal_opener.ts";
import type { ConsoleChannel } from "@lib/features/console/handler.ts";
import {
  closedPayload,
  type ConsoleSize,
  outputPayload,
} from "@lib/features/console/terminal_wire.ts";
import { within } from "@lib/core/within.ts";

/** The means of {@linkcode BridgedTerminal}. */
export interface BridgePorts {
  readonly session: string;
  readonly channel: ConsoleChannel;
  readonly clock: Clock;
}

/** Takes what a terminal shows. */
export type TerminalEars = Pick<TerminalOptions, "onOutput" | "onNotice">;

/** Bytes of output in one message. */
const PIECE_BYTES = 32 * 1024;
/** Bytes that the console has not taken at which the program is held. */
const HIGH_BYTES = 256 * 1024;
/** Longest message to an agent. */
const INPUT_PIECE_BYTES = 64 * 1024;
/** Input that waits for its program. */
const MAX_INPUT_BYTES = 2 * 1024 * 1024;
/** Messages of input that wait: small ones take more room than what they hold. */
const MAX_INPUTS = 4_096;
/** Time for a terminal to end, once it is asked to. */
const KILL_MS = 4_000;
/** The program did not exit by itself. */
const NO_EXIT = -1;
/** Notices that matter to whoever sees only the screen. */
const SHOWN_NOTICES = ["ends"];

/** One terminal, from the message that asks for it to the one that tells its end. */
export class BridgedTerminal {
  readonly #ports: BridgePorts;
  /** The console reads each message by itself: characters are never cut. */
  readonly #decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  readonly #encoder = new TextEncoder();
  readonly #input: Uint8Array[] = [];
  readonly #gone = new AbortController();
  #waiting = 0;
  #isFull = false;
  #isWriting = false;
  #wanted: ConsoleSize | undefined;
  #isResizing = false;
  #terminal: OwnedTerminal | undefined;
  #closedBy: string | undefined;

  constructor(ports: BridgePorts) {
    this.#ports = ports;
  }

  /** Opens the terminal, and serves it until it has ended. The console is told of every end. */
  async run(
    open: (ears: TerminalEars, signal: AbortSignal) => Promise<OwnedTerminal>,
  ): Promise<void> {
    const { session, channel } = this.#ports;
    let ending: TerminalEnding = { exitCode: undefined, text: "did not open", hasExited: false };
    try {
      using terminal = await open({
        onOutput: (bytes) => this.#show(bytes),
        onNotice: (code, text) => {
          if (SHOWN_NOTICES.includes(code)) this.#say(text);
        },
      }, this.#gone.signal);
      this.#terminal = terminal;
      if (this.#closedBy === undefined) {
        void this.#write();
        void this.#resize();
      } else await this.#kill(terminal, this.#closedBy);
      ending = await terminal.ended;
    } catch (error) {
      if (this.#closedBy === undefined) this.#say(messageOf(error));
    } finally {
      this.#gone.abort(new DOMException("The terminal has ended", "AbortError"));
      const rest = this.#decoder.decode();
      if (rest !== "") this.#send(rest);
      const { exitCode = NO_EXIT, hasExited, text } = ending;
      const reason = hasExited ? undefined : text;
      channel.send("terminal:closed", closedPayload(session, { exitCode, reason }));
    }
  }

  /** Takes input. */
  type(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    if (this.#waiting + bytes.length > MAX_INPUT_BYTES || this.#input.length >= MAX_INPUTS) {
      if (!this.#isFull) this.#say("The program does not read what is typed; the rest is dropped");
      this.#isFull = true;
      return;
    }
    this.#input.push(bytes);
    this.#waiting += bytes.length;
    void this.#write();
  }

  /** Changes the size; of several at once, the last counts. */
  resize(size: ConsoleSize): void {
    this.#wanted = { columns: size.columns, rows: size.rows };
    void this.#resize();
  }

  /** Ends the terminal; resolves when it was asked to, or could not be. */
  async close(by: string): Promise<void> {
    if (this.#closedBy !== undefined) return;
    this.#closedBy = by;
    this.#gone.abort(new DOMException("The terminal is being closed", "AbortError"));
    if (this.#terminal !== undefined) await this.#kill(this.#terminal, by);
  }

  async #kill(terminal: OwnedTerminal, by: string): Promise<void> {
    const { clock } = this.#ports;
    const over = new AbortController();
    const killed = terminal.kill(by, over.signal).catch(ignore("it ends without its owner"));
    const ended = Promise.all([killed, terminal.ended]);
    if (!await within(clock, ended, KILL_MS, over.signal)) terminal[Symbol.dispose]();
    over.abort(new DOMException("It is not waited for any longer", "AbortError"));
  }

  async #show(bytes: Uint8Array): Promise<void> {
    const { channel } = this.#ports;
    for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
      const piece = bytes.subarray(at, at + PIECE_BYTES);
      const text = this.#decoder.decode(piece, { stream: true });
      if (text !== "") this.#send(text);
      if (channel.bufferedBytes < HIGH_BYTES || this.#gone.signal.aborted) continue;
      await channel.drained(this.#gone.signal)
        .catch(ignore("the link has ended, which ends the terminal, or it has ended by itself"));
    }
  }

  #say(text: string): void {
    this.#send(`\r\n[cicd-runner: ${text.replace(/\p{Cc}+/gu, " ")}]\r\n`);
  }

  #send(text: string): void {
    const { session, channel } = this.#ports;
    channel.send("terminal:output", outputPayload(session, this.#encoder.encode(text)));
  }

  async #write(): Promise<void> {
    const terminal = this.#terminal;
    if (terminal === undefined || this.#isWriting) return;
    this.#isWriting = true;
    try {
      for (let next = this.#input[0]; next !== undefined; next = this.#input[0]) {
        for (let at = 0; at < next.length; at += INPUT_PIECE_BYTES) {
          await terminal.write(next.subarray(at, at + INPUT_PIECE_BYTES));
        }
        this.#input.shift();
        this.#waiting -= next.length;
        this.#isFull = false;
      }
    } catch {
      // It has ended, as its end tells.
      this.#input.length = 0;
    } finally {
      this.#isWriting = false;
    }
  }

  async #resize(): Promise<void> {
    const terminal = this.#terminal;
    if (terminal === undefined || this.#isResizing) return;
    this.#isResizing = true;
    try {
      for (let size = this.#wanted; size !== undefined; size = this.#wanted) {
        this.#wanted = undefined;
        await terminal.resize(size);
      }
    } catch {
      // It has ended, as its end tells.
      this.#wanted = undefined;
    } finally {
      this.#isResizing = false;
    }
  }
}
