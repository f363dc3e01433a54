/**
 * The screen of a terminal after its output: styled lines, with all that has scrolled away.
 *
 * Knows what our programs, bash and make write: line ends, colors, and erasing a line.
 *
 * @module
 */

/** The look of a character. */
export interface Style {
  readonly bold?: boolean;
  readonly faint?: boolean;
  readonly italic?: boolean;
  readonly underline?: boolean;
  /** 0 to 15, as in the palette of terminals. */
  readonly color?: number;
}

/** Neighbours of the same style. */
export interface Run {
  readonly text: string;
  readonly style: Style;
}

interface Cell {
  readonly char: string;
  readonly style: Style;
}

const PLAIN: Style = {};
const BLANK: Cell = { char: " ", style: PLAIN };
/** An escape sequence, a control character, or one character of text. */
const PIECES =
  // deno-lint-ignore no-control-regex -- they begin what is looked for
  /\x1b\[([?\d;]*)([A-Za-z])|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|[\x00-\x1f]|[^\x00-\x1f]/gu;

/** Returns the lines that the output leaves, without empty ones at the end. */
export function linesShown(output: string, columns: number): readonly (readonly Run[])[] {
  const lines: Cell[][] = [[]];
  let [row, column, style] = [0, 0, PLAIN];
  const line = () => lines[row] ??= [];
  const moveDown = () => row++;
  for (const [piece, parameters = "", final] of output.matchAll(PIECES)) {
    if (final === "m") style = styled(style, parameters);
    else if (final === "K") erase(line(), column, parameters);
    else if (final === "J") lines.length = row + 1, erase(line(), column, "0");
    else if (final === "G") column = Number(parameters || 1) - 1;
    else if (final === "A") row = Math.max(0, row - Number(parameters || 1));
    else if (piece === "\r") column = 0;
    else if (piece === "\n") moveDown();
    else if (piece === "\b") column = Math.max(0, column - 1);
    else if (piece === "\t") column = (Math.floor(column / 8) + 1) * 8;
    else if (piece >= " ") {
      if (column >= columns) [row, column] = [row + 1, 0];
      while (line().length < column) line().push(BLANK);
      line()[column++] = { char: piece, style };
    }
  }
  const runs = Array.from(lines, (cells = []) => runsOf(cells));
  while (runs.at(-1)?.length === 0) runs.pop();
  return runs;
}

/** Erases from the cursor to the end (0), from the beginning to it (1), or all of a line (2). */
function erase(cells: Cell[], column: number, how: string): void {
  if (how === "1") cells.fill(BLANK, 0, column + 1);
  else cells.length = how === "2" ? 0 : Math.min(cells.length, column);
}

function styled(before: Style, parameters: string): Style {
  let style = before;
  for (const code of parameters.split(";").map(Number)) {
    if (code === 0) style = PLAIN;
    else if (code === 1) style = { ...style, bold: true };
    else if (code === 2) style = { ...style, faint: true };
    else if (code === 3) style = { ...style, italic: true };
    else if (code === 4) style = { ...style, underline: true };
    else if (code >= 30 && code <= 37) style = { ...style, color: code - 30 };
    else if (code >= 90 && code <= 97) style = { ...style, color: code - 82 };
  }
  return style;
}

function runsOf(cells: readonly Cell[]): readonly Run[] {
  const runs: { text: string; readonly style: Style }[] = [];
  for (const { char, style } of cells) {
    const last = runs.at(-1);
    if (last !== undefined && JSON.stringify(last.style) === JSON.stringify(style)) {
      last.text += char;
    } else runs.push({ text: char, style });
  }
  return runs;
}
