/**
 * Draws a recording as one tall picture that can be read: everything it has shown, in order.
 *
 * @module
 */
import type { Recording } from "./cast.ts";
import { linesShown, type Run, type Style } from "./screen.ts";

const CHAR_WIDTH = 7.8;
const LINE_HEIGHT = 18;
const PADDING = 16;
const BACKGROUND = "#161b22";
const TEXT = "#d1d7e0";
const PALETTE: readonly string[] = [
  ...["#484f58", "#ff7b72", "#3fb950", "#d29922", "#58a6ff", "#bc8cff", "#39c5cf", "#b1bac4"],
  ...["#6e7681", "#ffa198", "#56d364", "#e3b341", "#79c0ff", "#d2a8ff", "#56d4dd", "#ffffff"],
];

/** Draws a recording. */
export function drawRecording({ events, columns, title }: Recording): string {
  const output = events.map(({ kind, text }) => kind === "o" ? text : "").join("");
  const lines = linesShown(output, columns);
  const width = Math.ceil(columns * CHAR_WIDTH + 2 * PADDING);
  const height = lines.length * LINE_HEIGHT + 2 * PADDING;
  const texts = lines.flatMap((runs, index) => {
    if (runs.length === 0) return [];
    const y = PADDING + (index + 0.75) * LINE_HEIGHT;
    return [
      `<text x="${PADDING}" y="${y}" xml:space="preserve">${runs.map(drawRun).join("")}</text>`,
    ];
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}"` +
    ` height="${height}" role="img" font-size="13" fill="${TEXT}"` +
    ` font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace">`,
    `<title>${escaped(title)}</title>`,
    `<rect width="100%" height="100%" rx="8" fill="${BACKGROUND}"/>`,
    ...texts,
    "</svg>",
    "",
  ].join("\n");
}

function drawRun({ text, style }: Run): string {
  const look = lookOf(style);
  return look === "" ? escaped(text) : `<tspan${look}>${escaped(text)}</tspan>`;
}

function lookOf({ bold, faint, italic, underline, color }: Style): string {
  return [
    color === undefined ? "" : ` fill="${PALETTE[color] ?? TEXT}"`,
    bold ? ' font-weight="bold"' : "",
    faint ? ' opacity="0.6"' : "",
    italic ? ' font-style="italic"' : "",
    underline ? ' text-decoration="underline"' : "",
  ].join("");
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
