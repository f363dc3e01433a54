/**
 * Terminals in containers of jobs: the engine starts their programs and passes their terminals on.
 *
 * Such a terminal ends with its container, and with the agent: the engine does not connect a second
 * time.
 *
 * @module
 */
import { withDeadline } from "@lib/core/abort.ts";
import type { Clock } from "@lib/core/clock.ts";
import { ignore } from "@lib/core/errors.ts";
import { isEngineAway } from "@lib/foundations/docker/engine_error.ts";
import {
  inspectExec,
  resizeExec,
  signalExec,
  startExec,
} from "@lib/foundations/docker/exec_terminal.ts";
import type { EngineAddress } from "@lib/foundations/docker/find_engine.ts";
import type { Connection } from "@lib/foundations/docker/raw_exchange.ts";
import type { TerminalLine, TerminalSize } from "@lib/foundations/terminal/pty.ts";
import type { ProgramEnd, Programs, RunningProgram } from "@lib/features/terminals/program.ts";

/** Options for {@linkcode containerPrograms}. */
export interface ContainerProgramsOptions {
  /** Starts all other programs. */
  readonly others: Programs;
  /** Finds the address of the engine, for what an earlier agent has left. */
  readonly address: () => EngineAddress;
  readonly clock: Clock;
}

const DEVICE = /^exec:([\w.-]+):([0-9a-f]+)$/;
const CALL_MS = 10_000;
/** Between SIGHUP and SIGKILL. */
const GRACE_MS = 2_000;
/** Between two looks for the exit code of a program whose terminal is closed. */
const LOOK_MS = 50;
const LOOKS = 40;

/** Adds programs in containers to others. */
export function containerPrograms(
  { others, address, clock }: ContainerProgramsOptions,
): Programs {
  const open = new Set<RunningProgram>();
  const never = new AbortController();

  const end = async (at: EngineAddress, container: string, id: string) => {
    using deadline = withDeadline(never.signal, CALL_MS + GRACE_MS, "the container engine");
    await signalExec(at, { container, id, name: "HUP" }, deadline);
    for (let waited = 0; waited < GRACE_MS; waited += LOOK_MS) {
      if (!(await inspectExec(at, id, deadline)).isRunning) return;
      await clock.sleep(LOOK_MS, { signal: deadline });
    }
    await signalExec(at, { container, id, name: "KILL" }, deadline);
  };

  return {
    outlivesAgent: others.outlivesAgent,
    reserve: (program) => others.reserve?.(program),
    isSpare: (id) => others.isSpare?.(id) === true,
    async start(request, signal) {
      const { container: place, argv, env, columns, rows } = request;
      if (place === undefined) return await others.start(request, signal);
      const { address: at, container } = place;
      const order = { address: at, container, argv, env, columns, rows };
      const { id, connection } = await startExec(order, signal);
      const line = new ExecLine(connection, (size) => resize(at, id, size));
      // An engine may heed the size only once the program runs.
      line.resize({ columns, rows });
      const running: RunningProgram = {
        device: `exec:${container}:${id}`,
        open(onData) {
          line.start(onData);
          return line;
        },
        foreground: () => undefined,
        ended: line.ended.then(() => endOf(at, id, clock)).finally(() => open.delete(running)),
        stop: () => end(at, container, id).finally(() => line[Symbol.dispose]()),
        forget: () => Promise.resolve(),
      };
      open.add(running);
      return running;
    },
    async adopt(id, device, signal) {
      const [isExec, container = "", exec = ""] = DEVICE.exec(device ?? "") ?? [];
      if (isExec === undefined) return await others.adopt(id, device, signal);
      await end(address(), container, exec).catch(ignore("it ends with its container"));
      return undefined;
    },
    async [Symbol.asyncDispose]() {
      await Promise.all([...open].map((one) => one.stop().catch(ignore("it ends with its job"))));
      await others[Symbol.asyncDispose]();
    },
  };
}

/** Asks for the end of a program whose terminal is closed. */
async function endOf(address: EngineAddress, id: string, clock: Clock): Promise<ProgramEnd> {
  const lost = { exitCode: null, signal: null, isTimeLimit: false, isLost: true };
  const never = new AbortController();
  using deadline = withDeadline(never.signal, CALL_MS, "the container engine");
  try {
    for (let looks = 0; looks < LOOKS; looks++) {
      const { isRunning, exitCode } = await inspectExec(address, id, deadline);
      if (!isRunning) return { ...lost, exitCode, isLost: exitCode === null };
      await clock.sleep(LOOK_MS, { signal: deadline });
    }
  } catch (error) {
    // With its container, the engine forgets it.
    ignore(isEngineAway(error) ? "the engine is away" : "its container is gone")(error);
  }
  return lost;
}

async function resize(address: EngineAddress, id: string, size: TerminalSize): Promise<void> {
  const signal = AbortSignal.timeout(CALL_MS);
  await resizeExec(address, id, { ...size, signal })
    .catch(ignore("it has ended, or the next size comes"));
}

/** The engine's end of a terminal. */
class ExecLine implements TerminalLine {
  readonly #connection: Connection;
  readonly #resize: (size: TerminalSize) => Promise<void>;
  readonly #ended = Promise.withResolvers<void>();
  #queue: Promise<void> = Promise.resolve();
  #wanted: TerminalSize | undefined;
  #isResizing = false;
  #resumed: PromiseWithResolvers<void> | undefined;
  #isOpen = true;
  unwritten = 0;

  constructor(connection: Connection, resize: (size: TerminalSize) => Promise<void>) {
    this.#connection = connection;
    this.#resize = resize;
  }

  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  /** Reads until the end. */
  start(onData: (bytes: Uint8Array<ArrayBuffer>) => void): void {
    const read = async () => {
      const buffer = new Uint8Array(64 * 1024);
      try {
        while (this.#isOpen) {
          await this.#resumed?.promise;
          const count = await this.#connection.read(buffer);
          if (count === null) break;
          onData(buffer.slice(0, count));
        }
      } catch (error) {
        ignore("a broken connection is an end")(error);
      }
      this[Symbol.dispose]();
    };
    void read();
  }

  pause(): void {
    this.#resumed ??= Promise.withResolvers();
  }

  resume(): void {
    this.#resumed?.resolve();
    this.#resumed = undefined;
  }

  write(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    this.unwritten += bytes.length;
    return this.#queue = this.#queue.then(async () => {
      for (let at = 0; at < bytes.length && this.#isOpen;) {
        at += await this.#connection.write(bytes.subarray(at));
      }
    }).catch(ignore("nobody reads it any more")).finally(() => this.unwritten -= bytes.length);
  }

  resize(size: TerminalSize): void {
    this.#wanted = size;
    if (!this.#isResizing) void this.#resizeAll();
  }

  /** One after another: the last one counts. */
  async #resizeAll(): Promise<void> {
    this.#isResizing = true;
    for (let size; this.#isOpen && (size = this.#wanted) !== undefined;) {
      this.#wanted = undefined;
      await this.#resize(size);
    }
    this.#isResizing = false;
  }

  closeSlave(): void {}

  [Symbol.dispose](): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.resume();
    this.#connection.close();
    this.#ended.resolve();
  }
}
