/**
 * Checks the links of finished pages, whatever made them.
 *
 * @module
 */
import { dirname, join } from "node:path/posix";
import { isExternal, type Site } from "./site.ts";

/**
 * Finds links to pages, files or sections that do not exist, and what a page would load from
 * elsewhere.
 *
 * @param files Other files of the site.
 * @returns One line for each; none if all is well.
 */
export function findDeadLinks({ pages, copies }: Site, files: readonly string[]): string[] {
  const ids = new Map(Array.from(pages, ([path, html]) => [path, idsOf(html)]));
  const others = new Set([...copies.keys(), ...files]);
  const problems: string[] = [];
  for (const [path, html] of pages) {
    for (const [tag, name = "", attribute = "", address = ""] of html.matchAll(LINK)) {
      const isLoaded = attribute === "src" || name === "link";
      if (isExternal(address)) {
        if (isLoaded) problems.push(`${path}: loads from elsewhere: ${tag}`);
        continue;
      }
      const [target = "", fragment] = decode(address).split("#");
      const file = target === "" ? path : join(dirname(path), target);
      const known = ids.get(file);
      if (known === undefined && !others.has(file)) {
        problems.push(`${path}: no such page: ${address}`);
      } else if (fragment !== undefined && known?.has(fragment) !== true) {
        problems.push(`${path}: no such section: ${address}`);
      }
    }
  }
  return problems;
}

const LINK = /<([a-z]+)\b[^>]*?\s(href|src)="([^"]*)"[^>]*>/g;

function idsOf(html: string): ReadonlySet<string> {
  return new Set(Array.from(html.matchAll(/\sid="([^"]*)"/g), ([, id = ""]) => id));
}

function decode(address: string): string {
  return decodeURIComponent(address.replaceAll("&amp;", "&"));
}
