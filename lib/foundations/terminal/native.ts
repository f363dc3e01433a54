/**
 * The native part of node-pty: opens, resizes and forks pseudoterminals.
 *
 * Its JavaScript is not used: on this runtime, what it writes can get stuck in a terminal that takes
 * only a part at once.
 *
 * @module
 */
import process from "node:process";
import * as v from "valibot";
import { CicdError, messageOf } from "@lib/core/errors.ts";
import { fromFileUrl } from "@lib/core/file_url.ts";

/** Reports the end of a forked program. */
type OnExit = (code: number, signal: number) => void;

/** node-pty's binding. */
export interface PtyBinding {
  open(columns: number, rows: number): { master: number; slave: number; pty: string };
  resize(fd: number, columns: number, rows: number): void;
  /** The name of the program in the foreground. */
  process(fd: number, pty: string): string | undefined;
  fork(
    file: string,
    args: readonly string[],
    env: readonly string[],
    cwd: string,
    columns: number,
    rows: number,
    uid: number,
    gid: number,
    isUtf8: boolean,
    helperPath: string,
    onExit: OnExit,
  ): { fd: number; pid: number; pty: string };
}

const bindingSchema = v.looseObject({
  open: v.function(),
  resize: v.function(),
  process: v.function(),
  fork: v.function(),
});

/** The file's name in a release. */
export const PTY_FILE = "pty.node";

/**
 * Loads the binding.
 *
 * @param libDir The directory of the release; `undefined` in a checkout.
 * @throws {CicdError} `executor_failed` if there is none for this machine.
 */
export function loadBinding(libDir: string | undefined): PtyBinding {
  const path = libDir === undefined ? fromFileUrl(packageUrl()) : `${libDir}/${PTY_FILE}`;
  try {
    // No require(): it would search the directories above for packages.
    const module: { readonly exports: unknown } = { exports: {} };
    process.dlopen(module, path);
    return parseBinding(module.exports);
  } catch (cause) {
    throw new CicdError(
      "executor_failed",
      `Cannot open a terminal: "${path}" cannot be loaded: ${messageOf(cause)}`,
      { cause },
    );
  }
}

function packageUrl(): string {
  const arch = Deno.build.arch === "aarch64" ? "arm64" : "x64";
  const name = `@lydell/node-pty-${Deno.build.os}-${arch}`;
  return new URL(`../../../node_modules/${name}/${PTY_FILE}`, import.meta.url).href;
}

function parseBinding(loaded: unknown): PtyBinding {
  return v.parse(bindingSchema, loaded) as unknown as PtyBinding;
}
