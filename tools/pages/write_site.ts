/**
 * Reads the documents of a tree, and writes their pages.
 *
 * @module
 */
import { dirname } from "node:path";
import { findDeadLinks } from "./check_links.ts";
import { renderSite, type Repository } from "./site.ts";
import { STYLE, STYLE_FILE } from "./template.ts";

/** By which an earlier site is known: others have a style of the same name. */
const STYLE_START = STYLE.slice(0, 40);
const CHANGES = "docs/changes.d";

/** The pages of a tree. */
export interface CheckedSite {
  readonly pages: number;
  /** One line for each link that leads nowhere. */
  readonly dead: readonly string[];
}

/**
 * Renders the documents of the tree at `root`, and writes them to `out` in place of an earlier site.
 * Nothing is written if a link leads nowhere.
 *
 * @param out Absent: the links are only checked.
 * @throws {TypeError} If `out` holds something else.
 */
export async function writeSite(root: string, out?: string): Promise<CheckedSite> {
  const site = renderSite(readRepository(root));
  const dead = findDeadLinks(site, [STYLE_FILE]);
  if (out !== undefined && dead.length === 0) {
    await removeSite(out);
    for (const [path, text] of [...site.pages, ...site.copies, [STYLE_FILE, STYLE] as const]) {
      await Deno.mkdir(dirname(`${out}/${path}`), { recursive: true });
      await Deno.writeTextFile(`${out}/${path}`, text);
    }
  }
  return { pages: site.pages.size, dead };
}

/** Returns the documents of the tree. */
function readRepository(root: string): Repository {
  const docs = [...Deno.readDirSync(`${root}/docs`)].map(({ name }) => `docs/${name}`);
  return {
    documents: [
      "README.md",
      "CHANGELOG.md",
      `${CHANGES}/README.md`,
      ...docs.filter((path) => path.endsWith(".md")),
    ],
    read: (path) => path === `${CHANGES}/README.md` ? changes(root) : readIfThere(root, path),
  };
}

/** Returns the changes since the last release as one document. */
function changes(root: string): string {
  const names = [...Deno.readDirSync(`${root}/${CHANGES}`)].map(({ name }) => name)
    .filter((name) => name.endsWith(".md")).sort();
  const parts = names.map((name) => (readIfThere(root, `${CHANGES}/${name}`) ?? "").trim());
  return ["# Changes since the last release", ...parts].join("\n\n");
}

/** Reads a file of the tree; none that a symlink leads to: it may be one of this machine. */
function readIfThere(root: string, path: string): string | undefined {
  try {
    const real = Deno.realPathSync(`${root}/${path}`);
    if (real !== `${Deno.realPathSync(root)}/${path}`) return undefined;
    return Deno.readTextFileSync(real);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.IsADirectory) {
      return undefined;
    }
    throw error;
  }
}

/** Removes an earlier site; refuses to remove anything else. */
async function removeSite(path: string): Promise<void> {
  try {
    const entries = await Array.fromAsync(Deno.readDir(path));
    const style = await Deno.readTextFile(`${path}/${STYLE_FILE}`).catch(() => "");
    if (entries.length > 0 && !style.startsWith(STYLE_START)) {
      throw new TypeError(`Cannot write to "${path}": it contains something other than pages`);
    }
    await Deno.remove(path, { recursive: true });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
