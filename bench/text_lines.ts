/**
 * Converts bytes to lines of text.
 *
 * @module
 */

/** Splits UTF-8 at line ends; an unfinished last line counts too. */
export function toLines(): TransformStream<Uint8Array, string> {
  const decoder = new TextDecoder();
  let rest = "";
  return new TransformStream({
    transform(chunk, controller) {
      const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) controller.enqueue(line);
    },
    flush(controller) {
      if (rest !== "") controller.enqueue(rest);
    },
  });
}
