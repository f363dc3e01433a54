/**
 * Finds the keys that leave a terminal, in what is typed.
 *
 * @module
 */
import { CicdError } from "@lib/core/errors.ts";

/** Ctrl-\ twice, or Ctrl-P and Ctrl-Q as in Docker. */
export const DETACH_KEYS = "ctrl-\\,ctrl-\\ ctrl-p,ctrl-q";

/** Longest sequence. */
const MAX_KEYS = 8;

/**
 * Parses sequences of keys: separated by spaces, their keys by commas; `ctrl-x` or a character.
 *
 * @throws {CicdError} `usage`
 */
export function parseDetachKeys(text: string): readonly (readonly number[])[] {
  const sequences = text.split(" ").filter((one) => one !== "")
    .map((one) => one.split(",").map((name) => keyOf(name)));
  const keys = sequences.map((one) => one.filter((key) => key !== undefined));
  const isValid = keys.length > 0 &&
    keys.every((found, at) => found.length === sequences[at]?.length && found.length <= MAX_KEYS);
  if (isValid) return keys;
  throw new CicdError(
    "usage",
    `Cannot use the detach keys ${JSON.stringify(text)}: give them as ctrl-p,ctrl-q`,
  );
}

function keyOf(name: string): number | undefined {
  const control = /^ctrl-([a-z@[\\\]^_])$/i.exec(name)?.[1];
  if (control !== undefined) return control.toUpperCase().charCodeAt(0) & 0x1f;
  return /^[\x21-\x7e]$/.test(name) ? name.charCodeAt(0) : undefined;
}

/** Holds back what may become a detach sequence. */
export class DetachKeys {
  readonly #sequences: readonly (readonly number[])[];
  #held: number[] = [];

  constructor(sequences: readonly (readonly number[])[]) {
    this.#sequences = sequences;
  }

  /** The keys typed so far may become a sequence. */
  get isHolding(): boolean {
    return this.#held.length > 0;
  }

  /** Takes keys; returns what is to be sent, and if a sequence is complete. */
  take(bytes: Uint8Array): { readonly send: Uint8Array<ArrayBuffer>; readonly detach: boolean } {
    const send: number[] = [];
    for (const byte of bytes) {
      this.#held.push(byte);
      while (this.#held.length > 0 && !this.#mayBecome()) send.push(this.#held.shift() ?? 0);
      if (this.#isComplete()) {
        this.#held = [];
        return { send: Uint8Array.from(send), detach: true };
      }
    }
    return { send: Uint8Array.from(send), detach: false };
  }

  /** Returns what was held back: no further key has come in time. */
  release(): Uint8Array<ArrayBuffer> {
    const held = Uint8Array.from(this.#held);
    this.#held = [];
    return held;
  }

  #mayBecome(): boolean {
    return this.#sequences.some((keys) => this.#held.every((key, at) => key === keys[at]));
  }

  #isComplete(): boolean {
    return this.#sequences.some((keys) =>
      keys.length === this.#held.length && keys.every((key, at) => key === this.#held[at])
    );
  }
}
