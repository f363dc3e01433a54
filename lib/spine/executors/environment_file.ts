/**
 * The text of an `EnvironmentFile=`, as systemd's own reader takes it.
 *
 * Every value stands in double quotes. There the reader ends at `"`, and drops
 * a backslash only in front of `"`, `\`, `` ` `` and `$`; everything else, line
 * ends and control characters included, is taken as it is, and nothing is
 * expanded.
 *
 * @module
 */

/**
 * Formats variables, one after the other.
 *
 * @throws {RangeError} If a name is no variable name or a value holds a NUL.
 */
export function formatEnvironmentFile(variables: Iterable<readonly [string, string]>): string {
  let text = "";
  for (const [name, value] of variables) {
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) {
      throw new RangeError(`Cannot write variable "${name}": it is no variable name`);
    }
    if (value.includes("\0") || !value.isWellFormed()) {
      throw new RangeError(`Cannot write variable "${name}": its value is no text for execve`);
    }
    text += `${name}="${value.replaceAll(/["\\`$]/g, "\\$&")}"\n`;
  }
  return text;
}
