/**
 * Where a setting comes from.
 *
 * @module
 */

/** The source of one setting, weakest first. */
export type Origin =
  | { readonly kind: "default" }
  | {
    readonly kind: "file";
    readonly file: string;
    /** Counts from 1. */
    readonly line: number;
    /** Counts from 1. */
    readonly column: number;
  }
  | { readonly kind: "env"; readonly name: string }
  | { readonly kind: "flag"; readonly name: string };

/** Formats an origin: `default`, `file:line:column`, `env NAME` or `flag --name`. */
export function formatOrigin(origin: Origin): string {
  switch (origin.kind) {
    case "default":
      return "default";
    case "file":
      return `${origin.file}:${origin.line}:${origin.column}`;
    case "env":
      return `env ${origin.name}`;
    case "flag":
      return `flag ${origin.name}`;
  }
}
