/**
 * A project's files, with the exports of each and its uses of the others.
 *
 * Reads only syntax, no types, so that the whole project takes about a second.
 *
 * @module
 */
import ts from "typescript";
import { placeOf, resolveInside } from "../places.ts";

/** A use of all exports of a file, because the individual ones are not known. */
export const EVERYTHING = "*";

/** An export of a file. */
export interface Export {
  readonly name: string;
  /** Counts from 1. */
  readonly line: number;
  /** For `export { a as b } from "…"`: the file and its `a`. */
  readonly from?: Use;
  /** Types that its declaration names, outside the bodies of functions. */
  readonly signature: ReadonlySet<string>;
  /** Set for an interface or a type alias. */
  readonly isType: boolean;
}

/** One name of another file; {@linkcode EVERYTHING} stands for all of them. */
export interface Use {
  readonly path: string;
  readonly name: string;
}

/** A file with its exports and its uses of other files. */
export interface ModuleFile {
  /** Path below the project's directory. */
  readonly path: string;
  readonly text: string;
  readonly source: ts.SourceFile;
  readonly exports: readonly Export[];
  /** Files re-exported by `export * from`. */
  readonly starFrom: readonly string[];
  readonly uses: readonly Use[];
  /** All files that this one imports, including type-only and dynamic imports. */
  readonly imports: ReadonlySet<string>;
}

/** Signature of an export that declares nothing itself. */
const UNTYPED = { signature: new Set<string>(), isType: false } as const;

/** Files by their paths. */
export type ModuleGraph = ReadonlyMap<string, ModuleFile>;

/** Parses files; `texts` maps paths below the project's directory to contents. */
export function buildModuleGraph(texts: ReadonlyMap<string, string>): ModuleGraph {
  return new Map([...texts].map(([path, text]) => [path, parseModule(path, text)]));
}

function parseModule(path: string, text: string): ModuleFile {
  const source = ts.createSourceFile(path, text, ts.ScriptTarget.ESNext, true);
  const exports: Export[] = [];
  const starFrom: string[] = [];
  const uses: Use[] = [];
  const imports = new Set<string>();
  const place = placeOf(path);
  const resolve = (specifier: ts.Node | undefined): string | undefined => {
    if (place === undefined || specifier === undefined || !ts.isStringLiteralLike(specifier)) {
      return undefined;
    }
    const target = resolveInside(place, specifier.text)?.path;
    if (target !== undefined) imports.add(target);
    return target;
  };
  const use = (path: string, names: readonly string[]) =>
    uses.push(...names.map((name) => ({ path, name })));
  const lineOf = (node: ts.Node) =>
    source.getLineAndCharacterOfPosition(node.getStart(source)).line + 1;

  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node)) {
      const target = resolve(node.moduleSpecifier);
      if (target !== undefined) use(target, namesOfImport(node, source));
    } else if (ts.isExportDeclaration(node)) {
      const target = resolve(node.moduleSpecifier);
      const clause = node.exportClause;
      if (clause !== undefined && ts.isNamedExports(clause)) {
        for (const element of clause.elements) {
          const name = (element.propertyName ?? element.name).text;
          exports.push({
            name: element.name.text,
            line: lineOf(element),
            ...UNTYPED,
            ...(target === undefined ? {} : { from: { path: target, name } }),
          });
        }
      } else if (target !== undefined) {
        if (clause === undefined) starFrom.push(target);
        else {
          exports.push({ name: clause.name.text, line: lineOf(node), ...UNTYPED });
          use(target, [EVERYTHING]);
        }
      }
    } else if (ts.isExportAssignment(node)) {
      exports.push({ name: "default", line: lineOf(node), ...UNTYPED });
    } else if (ts.isImportTypeNode(node)) {
      const target = ts.isLiteralTypeNode(node.argument)
        ? resolve(node.argument.literal)
        : undefined;
      if (target !== undefined) use(target, [firstName(node.qualifier) ?? EVERYTHING]);
    } else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      const target = resolve(node.arguments[0]);
      if (target !== undefined) use(target, namesOfDynamicImport(node, source));
    } else if (node.parent === source) {
      const signature = typesNamedBy(node);
      const isType = ts.isInterfaceDeclaration(node) || ts.isTypeAliasDeclaration(node);
      for (const name of namesOfDeclaration(node)) {
        exports.push({ name, line: lineOf(node), signature, isType });
      }
    }
    ts.forEachChild(node, visit);
  };
  ts.forEachChild(source, visit);
  return { path, text, source, exports, starFrom, uses, imports };
}

/** Returns the names that an exported statement declares. */
function namesOfDeclaration(node: ts.Node): string[] {
  if (!ts.canHaveModifiers(node)) return [];
  const kinds = ts.getModifiers(node)?.map(({ kind }) => kind) ?? [];
  if (!kinds.includes(ts.SyntaxKind.ExportKeyword)) return [];
  if (kinds.includes(ts.SyntaxKind.DefaultKeyword)) return ["default"];
  if (ts.isVariableStatement(node)) {
    return node.declarationList.declarations.flatMap(({ name }) => namesBoundBy(name));
  }
  const isNamed = ts.isFunctionDeclaration(node) || ts.isClassDeclaration(node) ||
    ts.isInterfaceDeclaration(node) || ts.isTypeAliasDeclaration(node) ||
    ts.isEnumDeclaration(node) || ts.isModuleDeclaration(node);
  return isNamed && node.name !== undefined ? [node.name.text] : [];
}

/** Returns the types that a declaration names, without those in the bodies of its functions. */
function typesNamedBy(declaration: ts.Node): ReadonlySet<string> {
  const names = new Set<string>();
  const visit = (node: ts.Node): void => {
    if (ts.isBlock(node)) return;
    if (ts.isTypeReferenceNode(node)) names.add(firstName(node.typeName) ?? "");
    if (ts.isExpressionWithTypeArguments(node) && ts.isIdentifier(node.expression)) {
      names.add(node.expression.text);
    }
    ts.forEachChild(node, visit);
  };
  visit(declaration);
  return names;
}

function namesBoundBy(name: ts.BindingName): string[] {
  if (ts.isIdentifier(name)) return [name.text];
  return name.elements.flatMap((element) =>
    ts.isBindingElement(element) ? namesBoundBy(element.name) : []
  );
}

function namesOfImport(
  { importClause }: ts.ImportDeclaration,
  source: ts.SourceFile,
): readonly string[] {
  if (importClause === undefined) return [];
  const names = importClause.name === undefined ? [] : ["default"];
  const bindings = importClause.namedBindings;
  if (bindings === undefined) return names;
  if (ts.isNamespaceImport(bindings)) return [...names, ...membersUsed(bindings.name, source)];
  return [...names, ...bindings.elements.map((item) => (item.propertyName ?? item.name).text)];
}

/** Follows the promise of `import("…")` to the names that are taken from it. */
function namesOfDynamicImport(
  call: ts.CallExpression,
  source: ts.SourceFile,
): readonly string[] {
  let node: ts.Node = call;
  const path: number[] = [];
  for (;;) {
    const parent: ts.Node = node.parent;
    if (ts.isParenthesizedExpression(parent) || ts.isAwaitExpression(parent)) {
      node = parent;
    } else if (ts.isArrayLiteralExpression(parent) && isPromiseAll(parent.parent)) {
      path.push(parent.elements.findIndex((element) => element === node));
      node = parent.parent;
    } else if (ts.isExpressionStatement(parent)) {
      return [];
    } else if (ts.isPropertyAccessExpression(parent)) {
      if (parent.name.text !== "then") return [parent.name.text];
      const [handler] = ts.isCallExpression(parent.parent) ? parent.parent.arguments : [];
      const parameter = handler !== undefined && ts.isArrowFunction(handler)
        ? handler.parameters[0]?.name
        : undefined;
      return parameter === undefined ? [EVERYTHING] : namesTaken(parameter, path, source);
    } else if (ts.isVariableDeclaration(parent)) {
      return namesTaken(parent.name, path, source);
    } else {
      return [EVERYTHING];
    }
  }
}

function isPromiseAll(node: ts.Node): boolean {
  return ts.isCallExpression(node) && /^Promise\s*\.\s*all$/.test(node.expression.getText());
}

/** Returns the exports that a binding takes; `path` leads through the lists around the module. */
function namesTaken(
  name: ts.BindingName,
  path: readonly number[],
  source: ts.SourceFile,
): readonly string[] {
  const [index, ...rest] = path;
  if (index !== undefined) {
    const element = ts.isArrayBindingPattern(name) ? name.elements[index] : undefined;
    return element !== undefined && ts.isBindingElement(element)
      ? namesTaken(element.name, rest, source)
      : [EVERYTHING];
  }
  if (ts.isIdentifier(name)) return membersUsed(name, source);
  if (!ts.isObjectBindingPattern(name)) return [EVERYTHING];
  return name.elements.map(({ dotDotDotToken, propertyName, name }) => {
    const key = propertyName ?? name;
    return dotDotDotToken === undefined && ts.isIdentifier(key) ? key.text : EVERYTHING;
  });
}

/** Returns the `b` of every `a.b`, or everything if `a` is used in another way. */
function membersUsed(binding: ts.Identifier, source: ts.SourceFile): readonly string[] {
  const names = new Set<string>();
  const visit = (node: ts.Node): void => {
    if (ts.isIdentifier(node) && node !== binding && node.text === binding.text) {
      const { parent } = node;
      if (ts.isPropertyAccessExpression(parent)) {
        // In `x.a` the name is a property.
        if (parent.expression === node) names.add(parent.name.text);
      } else if (ts.isQualifiedName(parent) && parent.left === node) {
        names.add(parent.right.text);
      } else if (!ts.isPropertyAssignment(parent) || parent.initializer === node) {
        names.add(EVERYTHING);
      }
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return [...names];
}

function firstName(name: ts.EntityName | undefined): string | undefined {
  if (name === undefined) return undefined;
  return ts.isIdentifier(name) ? name.text : firstName(name.left);
}
