/**
 * Renders a Markdown document of this repository as HTML.
 *
 * @module
 */
import { Marked } from "marked";

/** A heading of a document. */
export interface Heading {
  readonly depth: number;
  /** As GitHub names it: a link works there and here. */
  readonly id: string;
  readonly html: string;
}

/** A rendered document. */
export interface RenderedMarkdown {
  /** Text of its first heading, as HTML. */
  readonly title: string;
  readonly html: string;
  readonly headings: readonly Heading[];
}

/**
 * Renders a document.
 *
 * @param place Returns the address of what a relative link or image leads to.
 */
export function renderMarkdown(
  text: string,
  place: (address: string) => string,
): RenderedMarkdown {
  const headings: Heading[] = [];
  const marked = new Marked({ gfm: true });
  marked.use({
    walkTokens(token) {
      if (token.type === "link" || token.type === "image") token.href = place(token.href);
    },
    renderer: {
      heading({ tokens, depth }) {
        const html = this.parser.parseInline(tokens);
        const id = uniqueId(html, headings);
        headings.push({ depth, id, html });
        const anchor = `<a class="anchor" href="#${id}" aria-label="Link to this section">#</a>`;
        return `<h${depth} id="${id}">${html} ${anchor}</h${depth}>\n`;
      },
      // Wide tables scroll, the page does not.
      table(token) {
        const cells = (row: typeof token.header, tag: string) =>
          row.map(({ tokens, align }) => {
            const style = align === null ? "" : ` style="text-align:${align}"`;
            return `<${tag}${style}>${this.parser.parseInline(tokens)}</${tag}>`;
          }).join("");
        const rows = token.rows.map((row) => `<tr>${cells(row, "td")}</tr>`).join("\n");
        return `<div class="wide"><table><thead><tr>${cells(token.header, "th")}</tr></thead>\n` +
          `<tbody>${rows}</tbody></table></div>\n`;
      },
    },
  });
  const html = marked.parse(text, { async: false });
  return { title: headings[0]?.html ?? "", html, headings };
}

function uniqueId(html: string, headings: readonly Heading[]): string {
  const id = slugOf(html);
  const taken = (one: string) => headings.some((heading) => heading.id === one);
  if (!taken(id)) return id;
  let count = 1;
  while (taken(`${id}-${count}`)) count++;
  return `${id}-${count}`;
}

/** Returns the name that GitHub gives a heading. */
function slugOf(html: string): string {
  return html
    .replaceAll(/<[^>]*>|&[a-z0-9#]+;/gi, "")
    .trim()
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{M}\p{N}_ -]/gu, "")
    .replaceAll(" ", "-");
}
