/**
 * The ratios of a run as a picture: to the right of the line cicd-toolkit is better, to the left
 * its peer is.
 *
 * @module
 */
import { type Comparison, ratioOf } from "./report.ts";
import { escapeXml, svgText } from "./svg.ts";

const WIDTH = 960;
const LABEL_WIDTH = 470;
const ROW_HEIGHT = 40;
const TOP = 64;
/** Factors at the edges of the plot. */
const LEAST = 0.1;
const MOST = 1_000;

interface Bar {
  readonly label: string;
  readonly against: string;
  readonly ratio: number;
}

/** Draws the headline ratio of each comparison that has one. */
export function plotRatios(rows: readonly Comparison[], caption: string): string {
  const bars = rows.flatMap((row): Bar[] => {
    const [peer] = row.peers;
    const ratio = peer === undefined ? undefined : ratioOf(row, peer);
    // A floor shows what is possible, the product itself what depends on what; they are no
    // alternatives to the product. Shares of a job are in its total.
    const isShare = /^CPU per job: (?!all$)/.test(row.name);
    return peer === undefined || ratio === undefined || isShare ||
        /^(bare|ours|idle runner|first byte of a bare|\d+ queued)/i.test(peer.name)
      ? []
      : [{ label: row.name, against: `against ${peer.name}`, ratio }];
  });
  const height = TOP + bars.length * ROW_HEIGHT + 16;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" ` +
    `font-family="sans-serif" font-size="12" role="img">`,
    `<title>${escapeXml(caption)}</title>`,
    `<rect width="100%" height="100%" fill="#ffffff"/>`,
    svgText(16, 24, caption, "#1f2328", 'font-weight="bold" font-size="14"'),
    ...[0.1, 1, 10, 100, 1_000].flatMap((factor) => gridLine(factor, height)),
    ...bars.flatMap((bar, index) => drawBar(bar, TOP + index * ROW_HEIGHT)),
    "</svg>",
    "",
  ].join("\n");
}

function gridLine(factor: number, height: number): readonly string[] {
  const x = position(factor);
  const stroke = factor === 1 ? "#57606a" : "#d8dee4";
  return [
    `<line x1="${x}" y1="${TOP - 8}" x2="${x}" y2="${height - 12}" stroke="${stroke}"/>`,
    svgText(x, TOP - 14, `${factor}×`, "#57606a", 'text-anchor="middle"'),
  ];
}

function drawBar({ label, against, ratio }: Bar, y: number): readonly string[] {
  const from = position(1);
  const to = position(Math.min(MOST, Math.max(LEAST, ratio)));
  const fill = ratio >= 1 ? "#1a7f37" : "#bc4c00";
  const [x, width] = [Math.min(from, to), Math.max(1, Math.abs(to - from))];
  const shown = `${ratio >= 10 ? Math.round(ratio) : Number(ratio.toPrecision(2))}×`;
  return [
    svgText(LABEL_WIDTH - 8, y + 14, shortened(label), "#1f2328", 'text-anchor="end"'),
    svgText(
      LABEL_WIDTH - 8,
      y + 28,
      shortened(against),
      "#57606a",
      'text-anchor="end" font-size="11"',
    ),
    `<rect x="${x}" y="${y + 8}" width="${width}" height="16" fill="${fill}"/>`,
    svgText(x + width + 6, y + 21, shown, "#1f2328"),
  ];
}

/** Returns the position of a factor on the logarithmic scale. */
function position(factor: number): number {
  const share = Math.log(factor / LEAST) / Math.log(MOST / LEAST);
  return Math.round(LABEL_WIDTH + share * (WIDTH - LABEL_WIDTH - 60));
}

function shortened(label: string): string {
  return label.length > 74 ? `${label.slice(0, 73)}…` : label;
}
