/**
 * Exhaustiveness, checked by the compiler and again at run time.
 *
 * @module
 */

/**
 * Marks a branch that no value reaches.
 *
 * @throws {TypeError} Always: a value outside its type got in.
 */
export function assertNever(value: never): never {
  throw new TypeError(`Unexpected value: ${JSON.stringify(value)}`);
}
