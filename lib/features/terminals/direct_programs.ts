/**
 * Terminals without a service manager: their programs are children of the agent, and end with it.
 *
 * @module
 */
import { constants } from "node:os";
import type { Clock } from "@lib/core/clock.ts";
import { endMarked } from "@lib/foundations/process/marked_helpers.ts";
import { type DescriptorCalls, Pty } from "@lib/foundations/terminal/pty.ts";
import type { PtyBinding } from "@lib/foundations/terminal/native.ts";
import type { ProgramEnd, Programs } from "@lib/features/terminals/program.ts";

/** Between SIGHUP and SIGKILL. */
const GRACE_MS = 2_000;

/** Options for {@linkcode directPrograms}. */
export interface DirectOptions {
  readonly binding: PtyBinding;
  readonly calls: DescriptorCalls;
  /** Of the programs. */
  readonly umask: number;
  readonly clock: Clock;
  readonly setCloseOnExec: (fd: number) => void;
}

/** Makes the way to start programs as children. */
export function directPrograms(
  { binding, calls, umask, clock, setCloseOnExec }: DirectOptions,
): Programs {
  const living = new Set<() => void>();
  return {
    outlivesAgent: false,
    start(request) {
      const { id, argv, env, workdir, columns, rows } = request;
      const ended = Promise.withResolvers<ProgramEnd>();
      const mark = `terminal:${id}`;
      // What it leaves is found by the mark: a process may make itself a session of its own.
      const list = Object.entries({ ...env, CICD_HELPER_OF: mark }).map(([name, value]) =>
        `${name}=${value}`
      );
      const mask = umask.toString(8).padStart(3, "0");
      const args = ["-c", `umask ${mask}; exec "$@"`, "sh", ...argv];
      const sweep = () => void endMarked(mark);
      const { fd, pid, pty } = binding.fork(
        "/bin/sh",
        args,
        list,
        workdir,
        columns,
        rows,
        -1,
        -1,
        true,
        "",
        (code, signal) => {
          living.delete(hangUp);
          sweep();
          const name = signal === 0 ? null : nameOf(signal);
          const exitCode = name === null ? code : null;
          ended.resolve({ exitCode, signal: name, isTimeLimit: false, isLost: false });
        },
      );
      setCloseOnExec(fd);
      const hangUp = () => send(-pid, "SIGHUP");
      living.add(hangUp);
      return Promise.resolve({
        device: pty,
        open: (onData) => new Pty({ master: fd, binding, calls, onData }),
        foreground: () => binding.process(fd, pty),
        ended: ended.promise,
        async stop() {
          hangUp();
          await Promise.race([ended.promise, clock.sleep(GRACE_MS)]);
          send(-pid, "SIGKILL");
          sweep();
        },
        forget: () => Promise.resolve(),
      });
    },
    adopt(id) {
      endMarked(`terminal:${id}`);
      return Promise.resolve(undefined);
    },
    [Symbol.asyncDispose]() {
      for (const hangUp of living) hangUp();
      return Promise.resolve();
    },
  };
}

function nameOf(signal: number): string {
  const found = Object.entries(constants.signals).find(([, number]) => number === signal);
  return found?.[0] ?? `SIG${signal}`;
}

function send(pid: number, signal: Deno.Signal): void {
  try {
    Deno.kill(pid, signal);
  } catch (error) {
    // It has just ended.
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
