/**
 * A configuration file as a tree with positions, whatever it was written in.
 *
 * @module
 */

/** A place in a text; both count from 1. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

/** One entry of a map. */
export interface SourceEntry {
  readonly name: string;
  /** Of the name. */
  readonly at: Position;
  readonly node: SourceNode;
}

/** A value and where it stands. */
export type SourceNode =
  | {
    readonly kind: "scalar";
    readonly value: string | number | boolean | null;
    /** As it is written, without quotes: `1.10` is not 1.1. */
    readonly text: string;
    readonly at: Position;
  }
  | { readonly kind: "map"; readonly entries: readonly SourceEntry[]; readonly at: Position }
  | { readonly kind: "list"; readonly items: readonly SourceNode[]; readonly at: Position };

/** Options for {@linkcode toPlain}. */
export interface ToPlainOptions {
  /** Takes scalars, except null, as they are written. */
  readonly texts: boolean;
}

/** The value of a node, without positions. A name such as `__proto__` is a name like others. */
export function toPlain(node: SourceNode, options: ToPlainOptions): unknown {
  switch (node.kind) {
    case "scalar":
      return options.texts && node.value !== null ? node.text : node.value;
    case "map":
      return Object.fromEntries(
        node.entries.map((entry) => [entry.name, toPlain(entry.node, options)]),
      );
    case "list":
      return node.items.map((item) => toPlain(item, options));
  }
}
