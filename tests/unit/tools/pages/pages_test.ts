import assert from "node:assert/strict";
import { findDeadLinks } from "../../../../tools/pages/check_links.ts";
import { renderMarkdown } from "../../../../tools/pages/markdown.ts";
import { renderSite } from "../../../../tools/pages/site.ts";

/** Renders files of a repository, and checks them. */
function site(files: Readonly<Record<string, string>>) {
  const documents = Object.keys(files).filter((path) => path.endsWith(".md"));
  const rendered = renderSite({ documents, read: (path) => files[path] });
  return { ...rendered, dead: findDeadLinks(rendered, ["style.css"]) };
}

Deno.test("renderMarkdown() names headings as GitHub does", () => {
  const text = "# `a.b` & c\n\n## The *same*\n\n## The same\n\n## Größe, 2nd: x_y\n";
  const ids = renderMarkdown(text, (address) => address).headings.map(({ id }) => id);
  assert.deepEqual(ids, ["ab--c", "the-same", "the-same-1", "größe-2nd-x_y"]);
});

Deno.test("renderSite() rewrites links to pages, images and other files", () => {
  const { pages, copies, dead } = site({
    "README.md":
      "# Title\n\n[a](docs/a.md#part) ![i](docs/img/i.svg) [x](https://example.com/a.md)",
    "docs/a.md": "# A\n\n## Part\n\n[home](../README.md) [here](#part) [flow](../.github/f.yml)",
    "docs/img/i.svg": "<svg/>",
    ".github/f.yml": "a: <b>",
  });
  assert.deepEqual(dead, []);
  assert.deepEqual([...pages.keys()], ["index.html", "docs/a.html", "source/github/f.yml.html"]);
  assert.deepEqual([...copies], [["docs/img/i.svg", "<svg/>"]]);
  const [home = "", a = "", source = ""] = pages.values();
  assert.match(
    home,
    /href="docs\/a.html#part".*src="docs\/img\/i.svg".*href="https:\/\/example.com\/a.md"/,
  );
  assert.match(a, /href="..\/index.html".*href="#part".*href="..\/source\/github\/f.yml.html"/);
  assert.match(source, /<pre>a: &lt;b&gt;<\/pre>/);
});

Deno.test("renderSite() lists all pages on each, and the sections of the page", () => {
  const { pages } = site({ "README.md": "# Home\n\n## One\n\n### Two\n", "docs/a.md": "# `A`\n" });
  const home = pages.get("index.html") ?? "";
  assert.match(home, /<title>Home<\/title>/);
  assert.match(home, /<a href="index.html" aria-current="page">Home<\/a>/);
  assert.match(home, /<a href="docs\/a.html">A<\/a>/);
  assert.match(home, /<li><a href="#one">One<\/a>[^]*<li class="deep"><a href="#two">Two<\/a>/);
});

const DEAD: readonly (readonly [text: string, problem: string])[] = [
  ["[x](gone.md)", "docs/a.html: no such page: gone.md"],
  ["[x](../LICENCE)", "docs/a.html: no such page: ../LICENCE"],
  ["[x](b.md#none)", "docs/a.html: no such section: b.html#none"],
  ["[x](#none)", "docs/a.html: no such section: #none"],
  ["![x](img/gone.svg)", "docs/a.html: no such page: img/gone.svg"],
  [
    "![x](https://example.com/x.png)",
    'docs/a.html: loads from elsewhere: <img src="https://example.com/x.png" alt="x">',
  ],
  ['<a href="none.html">x</a>', "docs/a.html: no such page: none.html"],
  ["<a href='none.html'>x</a>", "docs/a.html: no such page: none.html"],
  ["<IMG src=//example.com/x>", "docs/a.html: loads from elsewhere: <IMG src=//example.com/x>"],
  ["[x](100%)", "docs/a.html: no such page: 100%"],
  ["[x](../../secret)", "docs/a.html: no such page: ../../secret"],
  ["![x](../../x.svg)", "docs/a.html: no such page: ../../x.svg"],
  ["[x](../.git/config)", "docs/a.html: no such page: ../.git/config"],
  ["[x](JavaScript:alert)", "docs/a.html: no address of a page: JavaScript:alert"],
];

for (const [text, problem] of DEAD) {
  Deno.test(`findDeadLinks() finds ${text}`, () => {
    const files = {
      "docs/a.md": `# A\n\n${text}\n`,
      "docs/b.md": "# B\n",
      "../secret": "of the machine that makes the pages",
      "../x.svg": "<svg/>",
      ".git/config": "token",
    };
    assert.deepEqual(site(files).dead, [problem]);
  });
}
