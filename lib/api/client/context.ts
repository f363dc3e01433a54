/**
 * The context of a command: its output, its configuration, its connection to the runner.
 *
 * Everything here is loaded by each command: keep `node:` modules out of it.
 *
 * @module
 */
import type { Clock } from "@lib/core/clock.ts";
import { CicdError, failureLines } from "@lib/core/errors.ts";
import type { Section } from "@lib/foundations/config/config.ts";
import type { ReadConfigResult } from "@lib/foundations/config/read.ts";
import { toProblem } from "@lib/foundations/http/problem.ts";
import { chooseColour } from "@lib/foundations/log/choose_format.ts";
import { type Painter, painter } from "@lib/api/client/format.ts";
import { Reconnect } from "@lib/api/client/reconnect.ts";
import { commandClock } from "@lib/api/client/timing.ts";
import type { RunnerTransport } from "@lib/api/client/transport.ts";

/** The reader of standard output has closed it. */
export class OutputClosedError extends Error {
  override readonly name = "OutputClosedError";
}

/** Standard output and standard error of a command. */
export interface Output {
  readonly isTerminal: boolean;
  /** Standard error is a terminal: progress can move. */
  readonly isLively: boolean;
  readonly isColoured: boolean;
  /** Size of the terminal; `undefined` if there is none. */
  size(): { readonly columns: number; readonly rows: number } | undefined;
  /** Writes all bytes. @throws {OutputClosedError} */
  write(bytes: Uint8Array): Promise<void>;
  /** Writes a text and a line break. @throws {OutputClosedError} */
  line(text: string): Promise<void>;
  /** Writes a value as one line of JSON. @throws {OutputClosedError} */
  json(value: unknown): Promise<void>;
  /** Writes a progress line to standard error; never fails. */
  note(text: string): void;
  /** Writes an error to standard error, as JSON with `--json`; never fails. */
  failed(error: CicdError): void;
  /**
   * Shows on standard error how something proceeds, until the next output: with a spinner on a
   * terminal, else as a line each time that the text changes. `undefined` ends it.
   */
  progress(text: string | undefined): void;
}

/** The flags that every command takes. */
export interface GlobalFlags {
  readonly socket: string | undefined;
  /** Address of a remote runner. */
  readonly url: string | undefined;
  readonly config: string | undefined;
  readonly json: boolean;
}

/** The means of a command. */
export interface CliContext {
  readonly flags: GlobalFlags;
  readonly env: Readonly<Record<string, string>>;
  readonly out: Output;
  readonly paint: Painter;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Loads the configuration keys of all features. */
  sections(): Promise<readonly Section[]>;
  /** @throws {CicdError} `invalid_config` */
  readConfig(): Promise<ReadConfigResult>;
  /** Makes the transport to the runner; it connects on first use. */
  connect(): Promise<RunnerTransport>;
  /** Makes the reconnect policy, with notes on standard error. */
  reconnect(signal?: AbortSignal, giveUpAfterMs?: number): Reconnect;
}

/** Makes a context of the means that differ between the ways to start a command. */
export function makeContext(
  flags: GlobalFlags,
  means: Pick<CliContext, "env" | "sections" | "signal" | "connect" | "readConfig">,
): CliContext {
  const { env, signal } = means;
  const out = openOutput(env, flags);
  return {
    ...means,
    flags,
    out,
    paint: painter(out.isColoured),
    clock: commandClock,
    reconnect: (own = signal, giveUpAfterMs) =>
      new Reconnect({
        clock: commandClock,
        signal: own,
        onLost: () => out.note("the runner is unreachable; trying again"),
        onFound: () => out.note("the runner is back"),
        ...(giveUpAfterMs === undefined ? {} : { giveUpAfterMs }),
      }),
  };
}

/** Returns the address of the remote runner in use; the command line takes precedence. */
export function remoteUrl(
  { url, socket }: GlobalFlags,
  env: Readonly<Record<string, string>>,
): string | undefined {
  return url ?? (socket === undefined ? env["CICD_URL"] || undefined : undefined);
}

const SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏";

const NEWLINE = 10;

/** Returns true if standard output and standard error are one terminal, pipe or file. */
function isOneOutput(): boolean {
  try {
    // Not by `node:fs`, which takes longer to load than most commands to run.
    const [out, err] = [Deno.statSync("/dev/fd/1"), Deno.statSync("/dev/fd/2")];
    return out.dev === err.dev && out.ino === err.ino;
  } catch {
    // Without the directory, a note may begin within a line: it is written all the same.
    return false;
  }
}

/** Opens the output of this process. */
export function openOutput(
  env: Readonly<Record<string, string | undefined>>,
  { json }: Pick<GlobalFlags, "json">,
): Output {
  const isTerminal = Deno.stdout.isTerminal();
  const encoder = new TextEncoder();
  const isLively = Deno.stderr.isTerminal() && env["TERM"] !== "dumb";
  let shown: string | undefined;
  let turns = 0;
  const sayToTerminal = (text: string) => void Deno.stderr.writeSync(encoder.encode(text));
  const endProgress = () => {
    if (shown !== undefined && isLively) sayToTerminal("\r\x1b[K");
    shown = undefined;
  };
  let isLineOpen = false;
  const say = (text: string) => {
    endProgress();
    if (isLineOpen && isOneOutput()) sayToTerminal("\n");
    isLineOpen = false;
    console.error(text);
  };
  const write = async (bytes: Uint8Array): Promise<void> => {
    endProgress();
    let written = 0;
    while (written < bytes.length) {
      try {
        written += await Deno.stdout.write(bytes.subarray(written));
        isLineOpen = bytes[written - 1] !== NEWLINE;
      } catch (error) {
        if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
        throw new OutputClosedError("The reader of the output has closed it", { cause: error });
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
    note: (text) => say(`cicd-runner: ${text}`),
    failed: (error) =>
      say(
        json
          ? JSON.stringify(toProblem(error.code, error.message, error.issues))
          : `cicd-runner: ${failureLines(error).join("\n")}`,
      ),
    isLively,
    progress(text) {
      if (text === undefined) return endProgress();
      if (isLively) {
        // The line would be cleared, and it has output of the job.
        if (isLineOpen && isOneOutput()) return;
        // One line at most, as only one can be replaced.
        const line = [...`${SPINNER[turns++ % SPINNER.length]} ${text}`];
        sayToTerminal(`\r\x1b[K${line.slice(0, Deno.consoleSize().columns - 1).join("")}`);
      } else if (text !== shown) console.error(`cicd-runner: ${text}`);
      shown = text;
    },
  };
}
