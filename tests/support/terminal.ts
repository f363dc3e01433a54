/**
 * A person's terminal in a test machine: a shell on a pseudoterminal.
 *
 * @module
 */
import { withDeadline } from "@lib/core/abort.ts";
import { systemClock } from "@lib/core/clock.ts";
import type { Machine, MachineProcess } from "./machine.ts";

/** Bytes that came out of a terminal at a moment, as text. */
export interface TerminalOutput {
  /** Milliseconds since the terminal was opened. */
  readonly atMs: number;
  readonly text: string;
}

/** Options for {@linkcode openTerminal}. */
export interface TerminalOptions {
  readonly user: string;
  readonly columns: number;
  readonly rows: number;
  /** Pause after each key. @default {0} */
  readonly keyMs?: number;
}

/** What a command showed, with the sequences of the terminal, and its exit code. */
export interface Shown {
  readonly exitCode: number;
  readonly text: string;
}

/** The marks of a prompt, as shells tell terminals: the exit code before it, and its end. */
// deno-lint-ignore no-control-regex -- they begin what is looked for
const MARKED = /\x1b\]133;D;(\d+)\x07.*\x1b\]133;B\x07/s;
const MARK = "printf '\\033]133;D;%s\\007' $?";
const PROMPT = "\\[\\e[32m\\]dev\\[\\e[0m\\]:\\[\\e[34m\\]\\w\\[\\e[0m\\]$ \\[\\e]133;B\\a\\]";

/** Opens a terminal with a plain shell, and waits for its prompt. */
export async function openTerminal(
  machine: Machine,
  { user, columns, rows, keyMs = 0 }: TerminalOptions,
): Promise<Terminal> {
  // A shell that runs a script drops PS1 from its environment.
  const shell = `stty cols ${columns} rows ${rows}; PS1=$PROMPT exec bash --norc`;
  const child = await machine.spawn(["script", "--quiet", "--flush", "-c", shell, "/dev/null"], {
    user,
    stdin: "piped",
    env: { TERM: "xterm-256color", PROMPT, PROMPT_COMMAND: MARK, HISTFILE: "" },
  });
  const terminal = new Terminal(child, keyMs);
  await terminal.prompt(10_000);
  return terminal;
}

/** An open terminal. Disposing kills what runs in it. */
export class Terminal implements AsyncDisposable {
  readonly #child: MachineProcess;
  readonly #keyMs: number;
  readonly #keys: WritableStreamDefaultWriter<Uint8Array<ArrayBufferLike>>;
  readonly #screen: ReadableStreamDefaultReader<string>;
  readonly #openedAt = performance.now();
  /** Everything that was shown since it was opened, in order. */
  readonly output: TerminalOutput[] = [];

  /** Use {@linkcode openTerminal}. */
  constructor(child: MachineProcess, keyMs: number) {
    this.#child = child;
    this.#keyMs = keyMs;
    this.#keys = child.stdin.getWriter();
    this.#screen = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  }

  /** Milliseconds since it was opened. */
  get nowMs(): number {
    return performance.now() - this.#openedAt;
  }

  /**
   * Types a command and waits for the next prompt.
   *
   * @throws If there is none in time; what was shown is in the message.
   */
  async type(command: string, timeoutMs = 60_000): Promise<Shown> {
    const encoder = new TextEncoder();
    for (const key of `${command}\n`) {
      await this.#keys.write(encoder.encode(key));
      if (this.#keyMs > 0) await systemClock.sleep(this.#keyMs);
    }
    return await this.prompt(timeoutMs);
  }

  /** Waits for a prompt. */
  async prompt(timeoutMs: number): Promise<Shown> {
    using deadline = withDeadline(new AbortController().signal, timeoutMs, "the prompt");
    const cancel = () => void this.#screen.cancel(deadline.reason);
    deadline.addEventListener("abort", cancel, { once: true });
    let text = "";
    for (let mark: RegExpExecArray | null = null; mark === null; mark = MARKED.exec(text)) {
      const { done, value = "" } = await this.#screen.read();
      if (done) throw new Error(`Cannot see a prompt: ${deadline.reason ?? "it closed"}\n${text}`);
      this.output.push({ atMs: this.nowMs, text: value });
      text += value;
    }
    deadline.removeEventListener("abort", cancel);
    return { exitCode: Number(MARKED.exec(text)?.[1]), text };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#screen.releaseLock();
    this.#keys.releaseLock();
    await this.#child[Symbol.asyncDispose]();
  }
}
