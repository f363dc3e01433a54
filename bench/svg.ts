/**
 * Parts of pictures.
 *
 * @module
 */

/** A line of text at a point. */
export function svgText(x: number, y: number, content: string, fill: string, more = ""): string {
  return `<text x="${x}" y="${y}" fill="${fill}" ${more}>${escapeXml(content)}</text>`;
}

/** Escapes text for XML. */
export function escapeXml(content: string): string {
  return content.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
