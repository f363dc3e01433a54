/**
 * Tables for people.
 *
 * @module
 */
import stringWidth from "string-width";

/** A column. */
export interface Column {
  readonly title: string;
  /** @default {"left"} */
  readonly align?: "left" | "right";
  /** May be cut to fit the terminal. @default {false} */
  readonly flexible?: boolean;
}

/** A cell: plain text, and how it is painted. */
export interface Cell {
  readonly text: string;
  readonly paint?: (text: string) => string;
}

/** Options for {@linkcode renderTable}. */
export interface TableOptions {
  readonly columns: readonly Column[];
  readonly rows: readonly (readonly (Cell | string)[])[];
  /** Columns of the terminal; absent: as wide as it takes. */
  readonly width?: number | undefined;
  readonly paintTitle?: (text: string) => string;
}

const GAP = "  ";
/** A flexible column is not made narrower than this. */
const MIN_WIDTH = 8;

/** Renders a table, a line each; the first one has the titles. */
export function renderTable(options: TableOptions): readonly string[] {
  const { columns, width, paintTitle } = options;
  const rows = options.rows.map((row) => row.map(toCell));
  const titles = columns.map(({ title }): Cell => ({
    text: title,
    ...(paintTitle === undefined ? {} : { paint: paintTitle }),
  }));
  const widths = columns.map((_, index) =>
    Math.max(...[titles, ...rows].map((row) => stringWidth(row[index]?.text ?? "")))
  );
  if (width !== undefined) shrink(widths, columns, width);
  return [titles, ...rows].map((row) => {
    const cells = columns.map((column, index) => {
      const cell = row[index] ?? { text: "" };
      const text = cut(cell.text, widths[index] ?? 0);
      const padding = " ".repeat(Math.max(0, (widths[index] ?? 0) - stringWidth(text)));
      const painted = cell.paint?.(text) ?? text;
      if (column.align === "right") return padding + painted;
      return index === columns.length - 1 ? painted : painted + padding;
    });
    return cells.join(GAP).trimEnd();
  });
}

/** Renders names and values under one another. */
export function renderFields(
  fields: readonly (readonly [name: string, value: Cell | string | undefined])[],
  paintName: (text: string) => string,
): readonly string[] {
  const given = fields.flatMap(([name, value]) =>
    value === undefined ? [] : [{ name, cell: toCell(value) }]
  );
  const width = Math.max(0, ...given.map(({ name }) => name.length));
  return given.map(({ name, cell }) =>
    `${paintName(name.padEnd(width))}  ${cell.paint?.(cell.text) ?? cell.text}`
  );
}

/** Cuts a text to a width; what is missing is shown as `…`. */
export function cut(text: string, width: number): string {
  if (stringWidth(text) <= width) return text;
  let kept = "";
  let used = 0;
  for (const { segment } of new Intl.Segmenter().segment(text)) {
    used += stringWidth(segment);
    if (used > width - 1) break;
    kept += segment;
  }
  return `${kept}…`;
}

function shrink(widths: number[], columns: readonly Column[], available: number): void {
  const total = () => widths.reduce((sum, one) => sum + one, 0) + GAP.length * (widths.length - 1);
  while (total() > available) {
    const candidates = columns.map(({ flexible }, index) =>
      flexible === true ? widths[index] ?? 0 : 0
    );
    const widest = Math.max(...candidates);
    if (widest <= MIN_WIDTH) return;
    const index = candidates.indexOf(widest);
    widths[index] = Math.max(MIN_WIDTH, widest - (total() - available));
  }
}

function toCell(value: Cell | string): Cell {
  return typeof value === "string" ? { text: value } : value;
}
