/**
 * A value that printing does not reveal.
 *
 * @module
 */

const SHOWN = "[secret]";

/**
 * Holds a secret until the moment of its use.
 *
 * Printing, serializing or inspecting it shows `[secret]`; only
 * {@linkcode Secret.expose} returns the value.
 */
export class Secret<T = string> {
  readonly #value: T;

  constructor(value: T) {
    this.#value = value;
  }

  /** Returns the value: use it at once, and neither keep nor print it. */
  expose(): T {
    return this.#value;
  }

  toString(): string {
    return SHOWN;
  }

  toJSON(): string {
    return SHOWN;
  }

  [Symbol.toPrimitive](): string {
    return SHOWN;
  }

  [Symbol.for("Deno.customInspect")](): string {
    return SHOWN;
  }

  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return SHOWN;
  }
}
