/**
 * Checks the links of finished pages, whatever made them.
 *
 * @module
 */
import { dirname, join } from "node:path/posix";
import { decode, isExternal, type Site } from "./site.ts";

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
    for (const [tag, name = "", attribute = "", ...values] of html.matchAll(LINK)) {
      const address = values.slice(0, 3).join("").replaceAll("&amp;", "&");
      const isLoaded = attribute.toLowerCase() === "src" || name.toLowerCase() === "link";
      if (isExternal(address)) {
        if (isLoaded) problems.push(`${path}: loads from elsewhere: ${tag}`);
        // A script, or data.
        else if (!/^(?:https?:|mailto:|\/\/)/i.test(address)) {
          problems.push(`${path}: no address of a page: ${address}`);
        }
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

const LINK = /<([a-z]+)\b[^>]*?\s(href|src)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))[^>]*>/gi;

function idsOf(html: string): ReadonlySet<string> {
  return new Set(Array.from(html.matchAll(/\sid="([^"]*)"/g), ([, id = ""]) => id));
}
