/**
 * Keeps `using` declarations through minification.
 *
 * The minifier puts the value of a variable that is used once into the place of its use, of `using`
 * too, and nothing disposes of it then. It looks at the last variable of a declaration only: one that
 * nobody uses protects those before it, and disposing of `null` does nothing.
 *
 * @module
 */
import ts from "typescript";

/** Adds a variable to each `using` declaration of a bundle that is not minified yet. */
export function protectUsing(source: string): string {
  if (!/\busing\b/.test(source)) return source;
  const file = ts.createSourceFile("bundle.js", source, ts.ScriptTarget.ESNext);
  const ends: number[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isVariableStatement(node) && isUsing(node)) ends.push(node.declarationList.end);
    ts.forEachChild(node, visit);
  };
  visit(file);
  let result = "";
  let at = 0;
  for (const [index, end] of ends.toSorted((a, b) => a - b).entries()) {
    result += `${source.slice(at, end)}, usingEnd${index} = null`;
    at = end;
  }
  return result + source.slice(at);
}

function isUsing({ declarationList: { flags } }: ts.VariableStatement): boolean {
  const kind = flags & ts.NodeFlags.BlockScoped;
  return kind === ts.NodeFlags.Using || kind === ts.NodeFlags.AwaitUsing;
}
