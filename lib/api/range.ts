/**
 * Single byte ranges of a resource (RFC 9110, section 14).
 *
 * @module
 */

/** The requested bytes. */
export type ByteRange =
  | { readonly kind: "all"; readonly from: number; readonly to?: number }
  | { readonly kind: "part"; readonly from: number; readonly to?: number }
  | { readonly kind: "unsatisfiable" };

/**
 * Parses a `Range` field. An unknown form is ignored, as the RFC requires.
 *
 * @param size Current size in bytes.
 * @param query A followed log may begin at `size`, but not beyond; `offset` is used without the field.
 */
export function parseRange(
  field: string | null,
  size: number,
  { follow, offset }: { readonly follow: boolean; readonly offset: number | undefined },
): ByteRange {
  const match = /^bytes=(\d*)-(\d*)$/.exec(field?.trim() ?? "");
  const [, first = "", last = ""] = match ?? [];
  if (match === null || (first === "" && last === "")) {
    const from = offset ?? 0;
    if (from > size) return { kind: "unsatisfiable" };
    return follow ? { kind: "all", from } : { kind: "all", from, to: size };
  }
  if (first === "") {
    // The last 0 bytes cannot be sent (RFC 9110, 14.1.2).
    if (Number(last) === 0) return { kind: "unsatisfiable" };
    // `Content-Range` cannot name a range of an empty resource.
    if (size === 0 && !follow) return { kind: "all", from: 0, to: 0 };
    const from = Math.max(0, size - Number(last));
    return follow ? { kind: "part", from } : { kind: "part", from, to: size };
  }
  const from = bounded(first);
  const to = last === "" ? undefined : bounded(last) + 1;
  if (to !== undefined && to <= from) return { kind: "unsatisfiable" };
  if (from > size || (from === size && !follow)) return { kind: "unsatisfiable" };
  if (follow) return to === undefined ? { kind: "part", from } : { kind: "part", from, to };
  return { kind: "part", from, to: Math.min(to ?? size, size) };
}

/** Returns a position; one beyond any file is the largest number that is exact. */
function bounded(digits: string): number {
  return Math.min(Number(digits), Number.MAX_SAFE_INTEGER - 1);
}
