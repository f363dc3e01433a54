/**
 * A value that does not show itself.
 *
 * @module
 */

const SHOWN = "[secret]";

/**
 * Holds a secret until the moment of its use.
 *
 * Printing, serializing or inspecting it gives `[secret]`; only
 * {@linkcode Secret.expose} gives the value.
 */
export class Secret<T = string> {
  readonly #value: T;

  constructor(value: T) {
    this.#value = value;
  }

  /** The value itself: to be used at once, and neither kept nor printed. */
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
