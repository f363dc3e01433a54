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
 * @param query A followed log may begin beyond `size`; `offset` is used without the field.
 */
export function parseRange(
  field: string | null,
  size: number,
  { follow, offset }: { readonly follow: boolean; readonly offset: number | undefined },
): ByteRange {
  const match = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(field?.trim() ?? "");
  const [, first = "", last = ""] = match ?? [];
  if (match === null || (first === "" && last === "")) {
    const from = offset ?? 0;
    if (!follow && from > size) return { kind: "unsatisfiable" };
    return follow ? { kind: "all", from } : { kind: "all", from, to: size };
  }
  if (first === "") {
    const from = Math.max(0, size - Number(last));
    return follow ? { kind: "part", from } : { kind: "part", from, to: size };
  }
  const from = Number(first);
  const to = last === "" ? undefined : Number(last) + 1;
  if (to !== undefined && to <= from) return { kind: "unsatisfiable" };
  if (follow) return to === undefined ? { kind: "part", from } : { kind: "part", from, to };
  if (from >= size) return { kind: "unsatisfiable" };
  return { kind: "part", from, to: Math.min(to ?? size, size) };
}
