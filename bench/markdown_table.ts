/**
 * Tables in Markdown that also read well in a terminal.
 *
 * @module
 */

/**
 * Renders rows of cells; the first one is the head.
 *
 * @param isText Says which columns are text, to be aligned at the left.
 */
export function markdownTable(
  lines: readonly (readonly string[])[],
  isText: (column: number) => boolean,
): readonly string[] {
  const [head = []] = lines;
  const widths = head.map((_, column) =>
    Math.max(3, ...lines.map((cells) => [...cells[column] ?? ""].length))
  );
  const pad = (cell: string, column: number) => {
    const fill = " ".repeat(Math.max(0, (widths[column] ?? 0) - [...cell].length));
    return isText(column) ? cell + fill : fill + cell;
  };
  const render = (cells: readonly string[]) => `| ${cells.map(pad).join(" | ")} |`;
  const rule = widths.map((width, column) =>
    isText(column) ? "-".repeat(width) : `${"-".repeat(width - 1)}:`
  );
  return [render(head), `| ${rule.join(" | ")} |`, ...lines.slice(1).map(render)];
}
