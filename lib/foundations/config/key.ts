/**
 * One configuration key, and what it is called elsewhere.
 *
 * @module
 */
import type { ValueType } from "@lib/core/value_types.ts";

/** One key. */
export interface Key<T> extends ValueType<T> {
  /** Dotted, as in `queue.max_running`; for a project's key, below the project. */
  readonly name: string;
  /** What it is for, in one or two sentences. */
  readonly doc: string;
  /** The default as a file would hold it; `undefined` if there is none, or it depends. */
  readonly fallback: unknown;
  /** The default in words, where it depends on the machine. */
  readonly fallbackText: string | undefined;
}

/** The environment variable of a key: `CICD_QUEUE_MAX_RUNNING`. */
export function envNameOf(name: string): string {
  return `CICD_${name.replaceAll(".", "_").toUpperCase()}`;
}

/** The flag of a key: `--queue-max-running`. */
export function flagNameOf(name: string): string {
  return `--${name.replaceAll(/[._]/g, "-")}`;
}

/** A key from its parts. */
export function key<T>(
  name: string,
  type: ValueType<T>,
  doc: string,
  fallback?: unknown,
  fallbackText?: string,
): Key<T> {
  return { ...type, name, doc, fallback, fallbackText };
}
