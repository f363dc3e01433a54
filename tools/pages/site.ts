/**
 * Plans the static pages of the documentation: which files there are, and where links lead.
 *
 * @module
 */
import { dirname, join, relative } from "node:path/posix";
import { renderMarkdown } from "./markdown.ts";
import { renderPage } from "./template.ts";

/** The documents in the order of the navigation; those of `docs/` that are missing follow. */
const FIRST = [
  "README.md",
  "docs/operations.md",
  "docs/configuration.md",
  "docs/cli.md",
  "docs/api.md",
  "docs/limits.md",
  "docs/containers.md",
  "docs/checkout.md",
  "docs/artifacts.md",
  "docs/cleaning.md",
  "docs/monitoring.md",
  "docs/remote-access.md",
  "docs/deployment.md",
  "docs/security.md",
  "docs/architecture.md",
];

/** The texts of a site, by their places: its pages, and images as they are. */
export interface Site {
  readonly pages: ReadonlyMap<string, string>;
  readonly copies: ReadonlyMap<string, string>;
}

/** The files of the repository that documents may link to. */
export interface Repository {
  /** Paths of the Markdown documents, from the root. */
  readonly documents: readonly string[];
  /** Reads a text file; `undefined` if there is none. */
  read(path: string): string | undefined;
}

/** Renders all documents. A link to a file that does not exist stays as it is. */
export function renderSite({ documents, read }: Repository): Site {
  const order = [
    ...FIRST.filter((path) => documents.includes(path)),
    ...documents.filter((path) => !FIRST.includes(path)).sort(),
  ];
  const copies = new Map<string, string>();
  const sources = new Map<string, string>();
  const rendered = order.map((path) => {
    const from = pageOf(path);
    const place = (address: string): string => {
      const [, target = "", fragment = ""] = /^([^#]*)(#.*)?$/.exec(address) ?? [];
      if (target === "" || isExternal(address)) return address;
      const file = join(dirname(path), decode(target)).replace(/\/$/, "/README.md");
      if (!isPublic(file)) return address;
      if (documents.includes(file)) return `${relative(dirname(from), pageOf(file))}${fragment}`;
      const text = read(file);
      if (text === undefined) return address;
      if (/\.(?:svg|png)$/.test(file)) copies.set(file, text);
      else sources.set(file, text);
      const at = copies.has(file) ? file : sourcePage(file);
      return `${relative(dirname(from), at)}${fragment}`;
    };
    return { from, ...renderMarkdown(read(path) ?? "", place) };
  });
  const entries = rendered.map(({ from, title }) => ({ path: from, title }));
  const pages = new Map(
    rendered.map((page) => [page.from, renderPage(page.from, { ...page, entries })]),
  );
  for (const [file, text] of sources) {
    const html = `<h1>${escapeHtml(file)}</h1>\n<pre>${escapeHtml(text)}</pre>\n`;
    const page = { title: escapeHtml(file), html, headings: [], entries };
    pages.set(sourcePage(file), renderPage(sourcePage(file), page));
  }
  return { pages, copies };
}

/** Checks that an address leads out of the site. */
export function isExternal(address: string): boolean {
  return /^[a-z][a-z0-9+.-]*:|^\/\//i.test(address);
}

/** Checks that a file may be shown: one beside the tree, or of Git itself, may hold secrets. */
function isPublic(file: string): boolean {
  return !/^\.\.(?:\/|$)|(?:^|\/)\.git(?:\/|$)/.test(file);
}

/** Decodes the path of an address; one that is not encoded stays as it is. */
export function decode(address: string): string {
  try {
    return decodeURIComponent(address);
  } catch (error) {
    if (!(error instanceof URIError)) throw error;
    return address;
  }
}

function pageOf(document: string): string {
  return document.replace(/(^|\/)README\.md$/, "$1index.md").replace(/\.md$/, ".html");
}

/** Hidden files are left out by what uploads sites. */
function sourcePage(file: string): string {
  return `source/${file.replaceAll(/(^|\/)\.+/g, "$1")}.html`;
}

function escapeHtml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
