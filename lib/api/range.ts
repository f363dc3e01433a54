/**
 * Which bytes of a log are wanted (RFC 9110, section 14, single ranges).
 *
 * @module
 */

/** The bytes wanted. */
export type WantedRange =
  | { readonly kind: "all"; readonly from: number; readonly to?: number }
  | { readonly kind: "part"; readonly from: number; readonly to?: number }
  | { readonly kind: "unsatisfiable" };

/**
 * Reads a `Range` field. One that is not understood is ignored, as the RFC has it.
 *
 * @param size Bytes there are now.
 * @param query A followed log may begin beyond the bytes there are; `offset` stands in for the field.
 */
export function parseRange(
  field: string | null,
  size: number,
  { follow, offset }: { readonly follow: boolean; readonly offset: number | undefined },
): WantedRange {
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
