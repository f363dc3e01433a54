/**
 * Tables for terminals.
 *
 * @module
 */

/** A column. */
export interface Column {
  readonly title: string;
  /** @default {"left"} */
  readonly align?: "left" | "right";
  /** May be truncated to fit the terminal. @default {false} */
  readonly flexible?: boolean;
}

/** A cell: plain text and its paint. */
export interface Cell {
  readonly text: string;
  readonly paint?: (text: string) => string;
}

/** Options for {@linkcode renderTable}. */
export interface TableOptions {
  readonly columns: readonly Column[];
  readonly rows: readonly (readonly (Cell | string)[])[];
  /** Columns of the terminal; absent: unlimited. */
  readonly width?: number | undefined;
  readonly paintTitle?: (text: string) => string;
}

/** Returns the terminal columns that a text takes. */
type Measure = (text: string) => number;

const GAP = "  ";
/** Narrowest width of a flexible column. */
const MIN_WIDTH = 8;

/** Renders a table, one line per row, after a line of titles. */
export async function renderTable(options: TableOptions): Promise<readonly string[]> {
  const { columns, width, paintTitle } = options;
  const titles = columns.map(({ title }): Cell => ({
    text: title,
    ...(paintTitle === undefined ? {} : { paint: paintTitle }),
  }));
  const rows = [titles, ...options.rows.map((row) => row.map(toCell))];
  const measure = await measureFor(rows.flat());
  const widths = columns.map((_, index) =>
    Math.max(...rows.map((row) => measure(row[index]?.text ?? "")))
  );
  if (width !== undefined) shrink(widths, columns, width);
  return rows.map((row) => {
    const cells = columns.map((column, index) => {
      const cell = row[index] ?? { text: "" };
      const columnWidth = widths[index] ?? 0;
      const text = truncated(cell.text, columnWidth, measure);
      const padding = " ".repeat(Math.max(0, columnWidth - measure(text)));
      const painted = cell.paint?.(text) ?? text;
      if (column.align === "right") return padding + painted;
      return index === columns.length - 1 ? painted : painted + padding;
    });
    return cells.join(GAP).trimEnd();
  });
}

/** Renders names and values, one pair per line. */
export function renderFields(
  fields: readonly (readonly [name: string, value: Cell | string | undefined])[],
  paintName: (text: string) => string,
): readonly string[] {
  const present = fields.flatMap(([name, value]) =>
    value === undefined ? [] : [{ name, cell: toCell(value) }]
  );
  const width = Math.max(0, ...present.map(({ name }) => name.length));
  return present.map(({ name, cell }) =>
    `${paintName(name.padEnd(width))}  ${cell.paint?.(cell.text) ?? cell.text}`
  );
}

/** Loads the tables of Unicode, which take a while, only for text that needs them. */
async function measureFor(cells: readonly Cell[]): Promise<Measure> {
  if (cells.every(({ text }) => /^[ -~]*$/.test(text))) return (text) => text.length;
  return (await import("string-width")).default;
}

/** Truncates a text to a width, with `…` at its end. */
function truncated(text: string, width: number, measure: Measure): string {
  if (measure(text) <= width) return text;
  let kept = "";
  let used = 0;
  for (const { segment } of new Intl.Segmenter().segment(text)) {
    used += measure(segment);
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
