/**
 * A timeline as a picture: time runs downwards, each point has a line, and a bar shows how long
 * after the previous one it came.
 *
 * @module
 */
import { escapeXml, svgText } from "../svg.ts";
import { shortTime } from "./render.ts";
import type { Place } from "./points.ts";
import type { MedianTimeline } from "./timeline_row.ts";

const PLACES: readonly Place[] = [
  "client",
  "runner",
  "agent",
  "systemd",
  "kernel",
  "job",
  "recorder",
];

const WIDTH = 960;
const ROW_HEIGHT = 19;
const TOP = 72;
const TIME_RIGHT = 70;
const LANES_LEFT = 100;
const LANE_WIDTH = 54;
const TEXT_LEFT = LANES_LEFT + PLACES.length * LANE_WIDTH - 8;
const BAR_LEFT = 785;
const BAR_WIDTH = 110;
const INK = "#1f2328";
const FAINT = "#57606a";
const RULE = "#d8dee4";
const LINE = "#0969da";

/** Draws the points of a job. */
export function drawTimeline(timeline: MedianTimeline): string {
  const { name, points } = timeline;
  const height = TOP + points.length * ROW_HEIGHT + 12;
  const title = `A ${name}, from the first byte to the exit code: ${
    shortTime(points.at(-1)?.atUs ?? 0)
  }`;
  const rows = points.map((point, index) => ({
    ...point,
    x: laneX(point.who),
    y: TOP + index * ROW_HEIGHT + 8,
    sinceUs: point.atUs - (points[index - 1]?.atUs ?? point.atUs),
  }));
  const longestUs = Math.max(1, ...rows.map(({ sinceUs }) => sinceUs));
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" ` +
    `font-family="sans-serif" font-size="12" role="img">`,
    `<title>${escapeXml(title)}</title>`,
    `<rect width="100%" height="100%" fill="#ffffff"/>`,
    svgText(16, 24, title, INK, 'font-weight="bold" font-size="14"'),
    ...PLACES.flatMap((place) => [
      svgText(
        laneX(place),
        TOP - 14,
        place,
        FAINT,
        'text-anchor="middle" font-size="11"',
      ),
      `<line x1="${laneX(place)}" y1="${TOP - 6}" x2="${laneX(place)}" y2="${height - 8}" ` +
      `stroke="${RULE}"/>`,
    ]),
    svgText(BAR_LEFT, TOP - 14, "since the previous point", FAINT, 'font-size="11"'),
    `<polyline fill="none" stroke="${LINE}" stroke-opacity="0.5" points="${
      rows.map(({ x, y }) => `${x},${y}`).join(" ")
    }"/>`,
    ...rows.flatMap(({ x, y, what, atUs, sinceUs }) => {
      const width = Math.round(sinceUs / longestUs * BAR_WIDTH);
      return [
        svgText(TIME_RIGHT, y + 4, shortTime(atUs), FAINT, 'text-anchor="end" font-size="11"'),
        `<circle cx="${x}" cy="${y}" r="4" fill="${LINE}"/>`,
        svgText(TEXT_LEFT, y + 4, what, INK),
        `<rect x="${BAR_LEFT}" y="${y - 5}" width="${Math.max(1, width)}" height="10" ` +
        `fill="#bc4c00"/>`,
        svgText(BAR_LEFT + width + 5, y + 4, shortTime(sinceUs), FAINT, 'font-size="11"'),
      ];
    }),
    "</svg>",
    "",
  ].join("\n");
}

function laneX(place: Place): number {
  return LANES_LEFT + PLACES.indexOf(place) * LANE_WIDTH;
}
