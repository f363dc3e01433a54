/**
 * Bars and sparklines of block characters.
 *
 * @module
 */

const LEVELS = "▁▂▃▄▅▆▇█";
/** Parts of a cell, from one to seven eighths. */
const EIGHTHS = "▏▎▍▌▋▊▉";

/** Returns a bar of `width` columns, filled to a share from 0 to 1. */
export function bar(share: number, width: number): string {
  const eighths = Math.round(Math.min(1, Math.max(0, share || 0)) * width * 8);
  const full = Math.floor(eighths / 8);
  const part = eighths % 8 === 0 ? "" : EIGHTHS[eighths % 8 - 1] ?? "";
  return `${"█".repeat(full)}${part}`.padEnd(width, "·");
}

/** Returns the last `width` shares, from 0 to 1, as a line; not measured ones are gaps. */
export function sparkline(shares: readonly (number | undefined)[], width: number): string {
  return shares.slice(-width).map((share) => {
    if (share === undefined || Number.isNaN(share)) return " ";
    const level = Math.floor(Math.min(1, Math.max(0, share)) * LEVELS.length);
    return LEVELS[Math.min(level, LEVELS.length - 1)] ?? " ";
  }).join("");
}
