/**
 * The header fields that a proxy passes on.
 *
 * @module
 */

/** Names and values in turn, as they were received. */
export type RawFields = readonly string[];

/** Fields of one connection (RFC 9110, section 7.6.1), and what they were called before. */
const HOP_BY_HOP = new Set([
  "connection",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

/** Returns the fields of a request that go to the provider, with the provider's host. */
export function requestFields(fields: RawFields, authority: string): Map<string, string[]> {
  // An expectation was answered here.
  const passed = endToEnd(fields, new Set(["host", "expect", "http2-settings"]));
  // Else the body of a GET would go without a frame, and be taken for the next request.
  const isChunked = fields.some((name, at) => at % 2 === 0 && /^transfer-encoding$/i.test(name));
  const framing: [string, string[]][] = isChunked && !passed.has("content-length")
    ? [["transfer-encoding", ["chunked"]]]
    : [];
  return new Map([["host", [authority]], ...passed, ...framing]);
}

/** Returns the fields of an answer that go to the client. */
export function answerFields(fields: RawFields): Map<string, string[]> {
  return endToEnd(fields, new Set());
}

/** Returns the end-to-end fields by their names in lower case; repeated ones keep their order. */
function endToEnd(fields: RawFields, dropped: ReadonlySet<string>): Map<string, string[]> {
  const pairs = Array.from({ length: fields.length / 2 }, (_, index) => ({
    name: (fields[2 * index] ?? "").toLowerCase(),
    value: fields[2 * index + 1] ?? "",
  }));
  const listed = new Set(
    pairs.filter(({ name }) => name === "connection").flatMap(({ value }) =>
      value.split(",").map((one) => one.trim().toLowerCase())
    ),
  );
  const passed = new Map<string, string[]>();
  for (const { name, value } of pairs) {
    // Whoever lists the length would have it forgotten, and the body taken for the next request.
    const isListed = listed.has(name) && name !== "content-length";
    if (HOP_BY_HOP.has(name) || isListed || dropped.has(name)) continue;
    passed.set(name, [...passed.get(name) ?? [], value]);
  }
  return passed;
}

/** Returns the fields as `node:http` takes them. */
export function fieldRecord(
  fields: ReadonlyMap<string, readonly string[]>,
): Record<string, string | string[]> {
  return Object.fromEntries(
    [...fields].map(([name, values]) => {
      const [only = ""] = values;
      return [name, values.length === 1 ? only : [...values]];
    }),
  );
}
