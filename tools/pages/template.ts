/**
 * The frame of a page: navigation, contents and style. A page asks for nothing of other sites.
 *
 * @module
 */
import { dirname, relative } from "node:path/posix";
import type { RenderedMarkdown } from "./markdown.ts";

/** File of the style. */
export const STYLE_FILE = "style.css";

/** The style of all pages, light and dark. */
export const STYLE = `:root {
  color-scheme: light dark;
  --text: light-dark(#1d2129, #d8dde6);
  --soft: light-dark(#5b6472, #98a2b3);
  --back: light-dark(#ffffff, #14171c);
  --block: light-dark(#f4f6f8, #1d2229);
  --line: light-dark(#d9dee5, #333b46);
  --link: light-dark(#0b5cad, #7ab7ff);
}
* { box-sizing: border-box; }
html { scroll-padding-top: 1rem; }
body {
  margin: 0;
  display: grid;
  grid-template-columns: 15rem minmax(0, 50rem) 15rem;
  gap: 2.5rem;
  justify-content: center;
  color: var(--text);
  background: var(--back);
  font: 16px/1.6 system-ui, sans-serif;
}
nav { padding: 1.5rem 0 1.5rem 1rem; font-size: 0.9rem; position: sticky; top: 0; align-self: start;
  max-height: 100vh; overflow-y: auto; }
nav ul { list-style: none; margin: 0; padding: 0; }
nav li { margin: 0.3rem 0; }
nav .deep { padding-left: 1rem; }
nav [aria-current] { font-weight: 600; color: var(--text); }
main { padding: 1.5rem 1rem 4rem; overflow-wrap: break-word; }
a { color: var(--link); text-decoration: none; }
a:hover, a:focus-visible { text-decoration: underline; }
h1, h2, h3 { line-height: 1.25; margin: 2em 0 0.6em; }
h1 { margin-top: 0; }
.anchor { color: var(--soft); opacity: 0; font-weight: 400; }
:is(h1, h2, h3, h4):hover .anchor, .anchor:focus-visible { opacity: 1; }
code, pre { font: 0.88em/1.5 ui-monospace, "Liberation Mono", monospace; background: var(--block);
  border-radius: 4px; }
code { padding: 0.1em 0.3em; }
pre { padding: 0.9rem 1rem; overflow-x: auto; border: 1px solid var(--line); }
pre code { padding: 0; font-size: 1em; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.92rem; }
th, td { padding: 0.4rem 0.7rem; border: 1px solid var(--line); vertical-align: top; text-align: left; }
th { background: var(--block); }
img { max-width: 100%; }
blockquote { margin-left: 0; padding-left: 1rem; border-left: 3px solid var(--line); }
@media (max-width: 75rem) {
  body { grid-template-columns: 13rem minmax(0, 50rem); }
  nav.contents { display: none; }
}
@media (max-width: 48rem) {
  body { display: block; }
  nav { position: static; max-height: none; padding-right: 1rem; border-bottom: 1px solid var(--line); }
}
@media print { nav { display: none; } body { display: block; } }
`;

/** A page of the navigation. */
export interface Entry {
  readonly path: string;
  readonly title: string;
}

/** Renders a page of the site. */
export function renderPage(
  path: string,
  { title, html, headings, entries }: RenderedMarkdown & { readonly entries: readonly Entry[] },
): string {
  const to = (target: string) => relative(dirname(path), target);
  const links = entries.map((entry) => {
    const current = entry.path === path ? ' aria-current="page"' : "";
    return `<li><a href="${to(entry.path)}"${current}>${plain(entry.title)}</a></li>`;
  });
  const contents = headings.filter(({ depth }) => depth === 2 || depth === 3).map((heading) => {
    const deep = heading.depth === 3 ? ' class="deep"' : "";
    return `<li${deep}><a href="#${heading.id}">${plain(heading.html)}</a></li>`;
  });
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${plain(title)}</title>
<link rel="stylesheet" href="${to(STYLE_FILE)}">
</head>
<body>
<nav aria-label="Pages"><ul>
${links.join("\n")}
</ul></nav>
<main>
${html}</main>
<nav class="contents" aria-label="On this page"><ul>
${contents.join("\n")}
</ul></nav>
</body>
</html>
`;
}

function plain(html: string): string {
  return html.replaceAll(/<[^>]*>/g, "");
}
