/**
 * Splits UTF-8 bytes into lines, without their terminators. An unterminated last line is yielded too.
 *
 * @throws {RangeError} If a line is longer than `maxBytes`.
 */
export async function* readLines(
  source: AsyncIterable<Uint8Array>,
  { maxBytes }: { readonly maxBytes: number },
): AsyncGenerator<string, void, undefined> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of source) {
    rest += decoder.decode(chunk, { stream: true });
    let from = 0;
    for (let end = rest.indexOf("\n"); end >= 0; end = rest.indexOf("\n", from)) {
      yield rest.slice(from, end);
      from = end + 1;
    }
    rest = rest.slice(from);
    if (rest.length > maxBytes) throw new RangeError(`A line is longer than ${maxBytes} bytes`);
  }
  if (rest !== "") yield rest;
}

/** Returns the first line of `source`, and reads no further; `undefined` if it is empty. */
export async function firstLine(
  source: AsyncIterable<Uint8Array>,
  options: { readonly maxBytes: number },
): Promise<string | undefined> {
  for await (const line of readLines(source, options)) return line;
  return undefined;
}
