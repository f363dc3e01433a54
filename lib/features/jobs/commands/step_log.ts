/**
 * The log of a job in a step of GitHub Actions, which interprets some of its lines as commands.
 *
 * @module
 */
import { Buffer } from "node:buffer";

/** Begins each line of the setup; see `lib/spine/logs/setup_log.ts`. */
const SETUP_PREFIX = Buffer.from("[setup] ");
/** Longest line that is looked at; lines of the setup are shorter. */
const LINE_MAX_BYTES = 8 * 1024;
const NEWLINE = 10;

/** Puts the setup of a log into a group, in which no workflow command has an effect. */
export class StepLog {
  #phase: "start" | "setup" | "output" = "start";
  #held: Uint8Array = new Uint8Array();
  readonly #token = crypto.randomUUID();
  /** The unfinished last line of the output. */
  #line = "";
  /** By this the job stopped workflow commands. */
  #stopped: string | undefined;

  /** Returns what to write for the next bytes of the log. */
  push(chunk: Uint8Array): Uint8Array {
    if (this.#phase === "output") {
      this.#watch(chunk);
      return chunk;
    }
    const bytes = Buffer.concat([this.#held, chunk]);
    this.#held = new Uint8Array();
    let at = 0;
    while (at < bytes.length && isPrefixed(bytes.subarray(at))) {
      const newline = bytes.indexOf(NEWLINE, at);
      if (newline < 0) break;
      at = newline + 1;
    }
    const [setup, rest] = [bytes.subarray(0, at), bytes.subarray(at)];
    const opening = at > 0 ? this.#open() : "";
    if (rest.length === 0 || (isPrefixed(rest) && rest.length < LINE_MAX_BYTES)) {
      this.#held = rest;
      return Buffer.concat([Buffer.from(opening), setup]);
    }
    const closing = this.#close();
    this.#watch(rest);
    return Buffer.concat([Buffer.from(opening), setup, Buffer.from(closing), rest]);
  }

  /** Returns what to write after the log, so that a workflow command that follows has its effect. */
  end(): string {
    const held = Buffer.from(this.#held).toString();
    this.#held = new Uint8Array();
    const rest = held === "" ? "" : `${held}\n`;
    const newline = this.#line === "" ? "" : "\n";
    const resume = this.#stopped === undefined ? "" : `::${this.#stopped}::\n`;
    this.#line = "";
    this.#stopped = undefined;
    return `${rest}${this.#close()}${newline}${resume}`;
  }

  #open(): string {
    if (this.#phase !== "start") return "";
    this.#phase = "setup";
    return `::group::Setup\n::stop-commands::${this.#token}\n`;
  }

  #close(): string {
    const isOpen = this.#phase === "setup";
    this.#phase = "output";
    return isOpen ? `::${this.#token}::\n::endgroup::\n` : "";
  }

  /** Follows how the job stops and resumes workflow commands. */
  #watch(chunk: Uint8Array): void {
    const lines = (this.#line + Buffer.from(chunk).toString("latin1")).split("\n");
    this.#line = (lines.pop() ?? "").slice(0, LINE_MAX_BYTES);
    for (const line of lines) {
      if (!line.includes("::") && !line.includes("##[")) continue;
      const [, command = "", data = ""] = /^\s*::(.*?)::(.*)$/.exec(line) ??
        /##\[(.*?)\](.*)$/.exec(line) ?? [];
      const [name = ""] = command.toLowerCase().split(" ");
      if (this.#stopped !== undefined) {
        if (name === this.#stopped.toLowerCase()) this.#stopped = undefined;
      } else if (name === "stop-commands" && /^[^\s:]+$/.test(data.trim())) {
        this.#stopped = data.trim();
      }
    }
  }
}

/** Returns whether bytes begin with the mark of the setup, as far as there are any. */
function isPrefixed(bytes: Buffer): boolean {
  const length = Math.min(bytes.length, SETUP_PREFIX.length);
  return bytes.subarray(0, length).equals(SETUP_PREFIX.subarray(0, length));
}
