/** Sizes are powers of 1024, as systemd reads them. */
const POWERS: Readonly<Record<string, number>> = { "": 0, K: 1, M: 2, G: 3, T: 4 };

/**
 * Parses `"512M"`, `"1.5G"`, `"64KiB"`, or a number of bytes.
 *
 * @returns Whole bytes, not negative; `undefined` if it is not a size.
 */
export function parseSize(value: string | number): number | undefined {
  if (typeof value === "number") {
    return Number.isSafeInteger(value) && value >= 0 ? value : undefined;
  }
  const match = /^(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?$/i.exec(value.trim());
  if (match === null) return undefined;
  const bytes = Math.round(
    Number(match[1]) * 1024 ** (POWERS[(match[2] ?? "").toUpperCase()] ?? 0),
  );
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

/** Formats bytes with one unit, such as `12.5M`. */
export function formatSize(bytes: number): string {
  let value = bytes;
  for (const unit of ["B", "K", "M", "G"]) {
    if (value < 1024) return `${Number(value.toFixed(1))}${unit}`;
    value /= 1024;
  }
  return `${Number(value.toFixed(1))}T`;
}
