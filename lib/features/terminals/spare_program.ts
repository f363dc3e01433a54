/**
 * A unit that waits to become the next terminal.
 *
 * The start of a unit takes the kernel some 10 ms, and the service manager some more. So after each
 * terminal a further unit is started, in which a shell waits for its command at a named pipe. It
 * belongs to this agent: its terminal hangs up when the agent ends, however it ends.
 *
 * @module
 */
import { raceAbort } from "@lib/core/abort.ts";
import { ignore } from "@lib/core/errors.ts";
import type { Clock } from "@lib/core/clock.ts";
import type { ProgramRequest } from "@lib/features/terminals/program.ts";

/** The program of a terminal, before it has a terminal. */
export type WantedProgram = Omit<ProgramRequest, "id" | "columns" | "rows">;

/** The way of a waiting unit to its command. */
export interface CommandPipe {
  /** Writes a short text without waiting. */
  write(text: string): void;
  close(): void;
}

/** A unit on a terminal. */
export interface Started {
  /** Resolves, or rejects, when the unit is gone. */
  readonly gone: Promise<unknown>;
  /** Closes the terminal here, which hangs it up. */
  close(): void;
}

/** Options for {@linkcode SpareProgram}. */
export interface SpareOptions<Unit extends Started> {
  /** Makes the pipe of a unit, and whatever the unit needs. */
  readonly makePipe: (id: string) => { readonly path: string; readonly pipe: CommandPipe };
  readonly start: (request: ProgramRequest, signal: AbortSignal) => Promise<Unit>;
  /** Removes what is left of a unit that nobody has taken. */
  readonly remove: (id: string) => void;
  readonly onFailure: (error: unknown) => void;
  readonly clock: Clock;
}

interface Spare<Unit> {
  readonly id: string;
  readonly key: string;
  readonly pipe: CommandPipe;
  readonly unit: Promise<Unit>;
}

/** The first output of the terminal before comes first. */
const AFTER_MS = 5;
/** Time for which one waits. */
const WAITS_MS = 600_000;
/** Longest command: a pipe always has room for it. */
const COMMAND_MAX_BYTES = 4_096;

/** At most one waiting unit. Disposing ends it. */
export class SpareProgram<Unit extends Started> implements Disposable {
  readonly #options: SpareOptions<Unit>;
  readonly #over = new AbortController();
  readonly #taken = new Map<string, Spare<Unit>>();
  #waiting: Spare<Unit> | undefined;
  #expiry = new AbortController();

  constructor(options: SpareOptions<Unit>) {
    this.#options = options;
  }

  /** Sets the waiting unit aside for a program; returns its id, or `undefined` if none suits. */
  reserve(program: WantedProgram): string | undefined {
    const waiting = this.#waiting;
    if (waiting === undefined || !suits(program)) return undefined;
    if (waiting.key !== keyOf(program)) {
      // The configuration has changed.
      this.#end();
      return undefined;
    }
    this.#waiting = undefined;
    this.#expiry.abort();
    this.#taken.set(waiting.id, waiting);
    return waiting.id;
  }

  /** Takes a unit that was set aside; `undefined` if there is none of that id. */
  async take(
    id: string,
    signal: AbortSignal,
  ): Promise<{ readonly unit: Unit; readonly run: (argv: readonly string[]) => void } | undefined> {
    const spare = this.#taken.get(id);
    if (spare === undefined) return undefined;
    this.#taken.delete(id);
    const { pipe } = spare;
    try {
      const unit = await raceAbort(spare.unit, signal);
      return {
        unit,
        run(argv) {
          pipe.write(commandOf(argv));
          // The shell may be about to open it only now.
          void unit.gone.catch(ignore("the agent ends")).finally(() => pipe.close());
        },
      };
    } catch (error) {
      pipe.close();
      void spare.unit.then((unit) => unit.close(), ignore("it has not started"));
      throw error;
    }
  }

  /** Starts a unit for the next program like this one, a moment later, unless one waits. */
  prepare(program: WantedProgram): void {
    if (!suits({ ...program, argv: ["/bin/sh"] })) return;
    this.#expiry.abort();
    this.#expiry = new AbortController();
    void this.#keepOne(program, AbortSignal.any([this.#over.signal, this.#expiry.signal]))
      .catch(ignore("it is taken, or the agent ends"));
  }

  [Symbol.dispose](): void {
    this.#over.abort();
    this.#end();
  }

  async #keepOne(program: WantedProgram, signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    await clock.sleep(AFTER_MS, { signal });
    if (this.#waiting === undefined) this.#begin(program);
    await clock.sleep(WAITS_MS, { signal });
    this.#end();
  }

  #begin(program: WantedProgram): void {
    const { makePipe, start, remove, onFailure } = this.#options;
    const id = newTerminalId();
    try {
      const { path, pipe } = makePipe(id);
      const request: ProgramRequest = {
        ...program,
        id,
        argv: ["/bin/sh", path],
        columns: 80,
        rows: 24,
        maxMs: program.maxMs + WAITS_MS,
      };
      const unit = start(request, this.#over.signal);
      const spare = { id, key: keyOf(program), pipe, unit };
      this.#waiting = spare;
      void unit.then((unit) => unit.gone.catch(ignore("the agent ends")), (error: unknown) => {
        if (!this.#over.signal.aborted) onFailure(error);
      }).then(() => {
        if (this.#waiting === spare) this.#end();
      });
    } catch (error) {
      remove(id);
      onFailure(error);
    }
  }

  #end(): void {
    const spare = this.#waiting;
    if (spare === undefined) return;
    this.#waiting = undefined;
    spare.pipe.close();
    void spare.unit.then((unit) => unit.close(), ignore("it has not started"));
    this.#options.remove(spare.id);
  }
}

/** Makes the id of a terminal. */
export function newTerminalId(): string {
  return crypto.randomUUID().replaceAll("-", "").slice(0, 12);
}

/** One in a unit or container of its own choice cannot wait in another. */
function suits({ argv, unit, container }: WantedProgram): boolean {
  return unit === undefined && container === undefined &&
    new TextEncoder().encode(commandOf(argv)).length <= COMMAND_MAX_BYTES;
}

/** Returns what was given to the unit at its start. */
function keyOf({ env, workdir, limits, maxMs }: WantedProgram): string {
  return JSON.stringify([env, workdir, limits, maxMs]);
}

function commandOf(argv: readonly string[]): string {
  return `exec ${argv.map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(" ")}\n`;
}
