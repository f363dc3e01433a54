/**
 * JSON Schemas of durations and sizes, with patterns as tight as their bounds.
 *
 * The patterns have the usual spellings, and no part that other engines (Python's `re`, RE2) cannot
 * read.
 *
 * @module
 */
import type { Bounds, JsonSchema, Measure } from "@lib/core/json_schema.ts";

type Unit = readonly [spelling: string, size: number];

const DURATIONS: readonly Unit[] = [
  ["ms", 1],
  ["s?", 1_000],
  ["m(?:in)?", 60_000],
  ["h", 3_600_000],
  ["d", 86_400_000],
  ["w", 604_800_000],
];

/** Two units in one text, such as `1h30m`, and how many of the second make one of the first. */
const PAIRS: readonly (readonly [first: string, ms: number, second: string, count: number])[] = [
  ["d", 86_400_000, "h", 24],
  ["h", 3_600_000, "m", 60],
  ["m", 60_000, "s", 60],
];

const SIZES: readonly Unit[] = ["", "K", "M", "G", "T"].map((name, power) => [
  `${name === "" ? "" : `[${name}${name.toLowerCase()}]`}(?:[Ii]?[Bb])?`,
  1024 ** power,
]);

/** Returns the JSON Schema of a measure's input. */
export function measureSchema(
  { kind, min, max, isText = false }: Measure,
): JsonSchema {
  const isDuration = kind === "duration";
  const pattern = isDuration ? durationPattern({ min, max }) : sizePattern({ min, max });
  const text = { type: "string", pattern: `^(?:${pattern})$`, maxLength: 32 };
  const number = isDuration
    ? { type: "number", minimum: min / 1_000, maximum: max / 1_000 }
    : { type: "integer", minimum: min, maximum: max };
  return isText ? text : { anyOf: [text, number] };
}

function durationPattern(bounds: Bounds): string {
  const pairs = PAIRS.flatMap(([first, ms, second, count]) => {
    const whole = within(bounds, ms, 1);
    return whole === undefined ? [] : [`${whole}${first} ?${numbers(0, count - 1)}${second}`];
  });
  return [...single(DURATIONS, bounds), ...pairs].join("|");
}

function sizePattern(bounds: Bounds): string {
  return single(SIZES, bounds).join("|");
}

/** Returns the patterns of numbers of one unit. */
function single(units: readonly Unit[], bounds: Bounds): readonly string[] {
  return units.flatMap(([spelling, size]) => {
    const whole = within(bounds, size);
    const begun = size === 1 ? undefined : within(bounds, size, 1);
    return [
      ...(whole === undefined ? [] : [`${whole}${spelling}`]),
      ...(begun === undefined ? [] : [`${begun}\\.[0-9]{1,3}${spelling}`]),
    ];
  });
}

/** Returns the pattern of the numbers of a unit within bounds, `below` less at the top. */
function within({ min, max }: Bounds, size: number, below = 0): string | undefined {
  const first = Math.ceil(min / size);
  const last = Math.floor(max / size) - below;
  return last < first ? undefined : numbers(first, last);
}

/** Returns a pattern of the decimal numbers from `first` to `last`. */
function numbers(first: number, last: number): string {
  const ranges: string[] = [];
  for (let start = first; start <= last;) {
    // The longest range whose numbers differ only in their last digits.
    let step = 1;
    while (start % (step * 10) === 0 && start + step * 10 - 1 <= last && start > 0) step *= 10;
    const digits = step === 1 ? 0 : String(step).length - 1;
    const lead = Math.floor(start / step);
    const top = Math.min(lead - lead % 10 + 9, Math.floor((last + 1) / step) - 1);
    const prefix = lead < 10 ? "" : String(Math.floor(lead / 10));
    const [from, to] = [lead % 10, top % 10];
    ranges.push(
      `${prefix}${from === to ? from : `[${from}-${to}]`}${
        digits === 0 ? "" : digits === 1 ? "[0-9]" : `[0-9]{${digits}}`
      }`,
    );
    start = (top + 1) * step;
  }
  return `(?:${ranges.join("|")})`;
}
