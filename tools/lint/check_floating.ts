/**
 * Finds floating promises, using type information.
 *
 * A statement whose value is a promise, or a list of promises, must be
 * awaited, returned, stored, or marked with `void`. Deno's own linter has no
 * types and cannot see this.
 *
 * Usage: `check_floating.ts FILE_OR_DIRECTORY…`; exits with 1 if it finds any.
 *
 * @module
 */
import process from "node:process";
import ts from "typescript";

/** A floating promise. */
export interface FloatingPromise {
  readonly file: string;
  /** Counts from 1. */
  readonly line: number;
  /** Counts from 1. */
  readonly column: number;
  readonly text: string;
}

/** Options for {@linkcode findFloating}. */
export interface FindFloatingOptions {
  /** The project's directory: of `deno.json`, `lib/` and `node_modules/`. */
  readonly project: string;
  /** Text of the declarations that `deno types` prints. */
  readonly denoTypes: string;
}

/** Virtual path of the declarations that `deno types` prints. */
const DENO_TYPES = "/deno.d.ts";

/** TypeScript's error number of an unresolved import. */
const CANNOT_FIND_MODULE = 2307;

/** Finds the floating promises of the files, in order. */
export function findFloating(
  files: readonly string[],
  { project, denoTypes }: FindFloatingOptions,
): FloatingPromise[] {
  const options: ts.CompilerOptions = {
    allowImportingTsExtensions: true,
    // The types of `@std/*` are in the comments of its JavaScript.
    allowJs: true,
    maxNodeModuleJsDepth: 1,
    lib: ["lib.esnext.d.ts"],
    module: ts.ModuleKind.ESNext,
    moduleResolution: ts.ModuleResolutionKind.Bundler,
    noEmit: true,
    paths: {
      "@lib/*": [`${project}/lib/*`],
      "@std/cli/parse-args": [`${project}/node_modules/deno-std/cli/parse_args.js`],
      "@std/yaml": [`${project}/node_modules/deno-std/yaml/mod.js`],
    },
    skipLibCheck: true,
    strict: true,
    target: ts.ScriptTarget.ESNext,
    types: [],
  };
  const host = ts.createCompilerHost(options, true);
  const { getSourceFile, fileExists, readFile } = host;
  host.getSourceFile = (name, version) =>
    name === DENO_TYPES
      ? ts.createSourceFile(name, denoTypes, version)
      : getSourceFile.call(host, name, version);
  host.fileExists = (name) => name === DENO_TYPES || fileExists.call(host, name);
  host.readFile = (name) => name === DENO_TYPES ? denoTypes : readFile.call(host, name);
  const program = ts.createProgram([DENO_TYPES, ...files], options, host);
  const checker = program.getTypeChecker();
  return files.flatMap((file) => {
    const source = program.getSourceFile(file);
    if (source === undefined) throw new Error(`Cannot check "${file}": it cannot be read`);
    refuseUnresolved(program, source);
    return floatingOf(source, checker);
  });
}

/** Rejects unresolved imports: they have no types, so their promises would go unnoticed. */
function refuseUnresolved(program: ts.Program, source: ts.SourceFile): void {
  for (const { code, messageText } of program.getSemanticDiagnostics(source)) {
    if (code !== CANNOT_FIND_MODULE) continue;
    const text = ts.flattenDiagnosticMessageText(messageText, " ");
    throw new Error(`Cannot check "${source.fileName}": ${text}`);
  }
}

function floatingOf(source: ts.SourceFile, checker: ts.TypeChecker): FloatingPromise[] {
  const found: FloatingPromise[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isExpressionStatement(node) && floats(node.expression, checker)) {
      const { line, character } = source.getLineAndCharacterOfPosition(node.getStart(source));
      const text = node.getText(source).split("\n", 1)[0] ?? "";
      found.push({ file: source.fileName, line: line + 1, column: character + 1, text });
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

function floats(expression: ts.Expression, checker: ts.TypeChecker): boolean {
  if (ts.isParenthesizedExpression(expression)) return floats(expression.expression, checker);
  if (ts.isConditionalExpression(expression)) {
    return floats(expression.whenTrue, checker) || floats(expression.whenFalse, checker);
  }
  if (ts.isBinaryExpression(expression)) {
    const { kind } = expression.operatorToken;
    // An assignment stores its promise.
    if (kind >= ts.SyntaxKind.FirstAssignment && kind <= ts.SyntaxKind.LastAssignment) return false;
    if (kind === ts.SyntaxKind.CommaToken && floats(expression.left, checker)) return true;
    return floats(expression.right, checker);
  }
  return isPending(checker.getTypeAtLocation(expression), checker);
}

/** Checks for a type whose values may be promises or lists of promises. */
function isPending(type: ts.Type, checker: ts.TypeChecker, inList = false): boolean {
  if (type.isUnion()) return type.types.some((part) => isPending(part, checker, inList));
  if (isThenable(type, checker)) return true;
  // A type may be a list of itself; one level is enough.
  if (inList || !checker.isArrayType(type) && !checker.isTupleType(type)) return false;
  const element = checker.getIndexTypeOfType(type, ts.IndexKind.Number);
  return element !== undefined && isPending(element, checker, true);
}

function isThenable(type: ts.Type, checker: ts.TypeChecker): boolean {
  const then = checker.getPropertyOfType(checker.getApparentType(type), "then");
  return then !== undefined && checker.getTypeOfSymbol(then).getCallSignatures().length > 0;
}

/** Returns the paths of the TypeScript files below a path, in order, or the file itself. */
export function typeScriptFiles(path: string): string[] {
  if (!Deno.statSync(path).isDirectory) return [path];
  return [...Deno.readDirSync(path)]
    .filter(({ name }) => name !== "node_modules" && !name.startsWith("."))
    .sort((a, b) => a.name < b.name ? -1 : 1)
    .flatMap(({ name, isDirectory }) =>
      isDirectory || name.endsWith(".ts") ? typeScriptFiles(`${path}/${name}`) : []
    );
}

function main(args: readonly string[]): number {
  const project = new URL("../..", import.meta.url).pathname.replace(/\/$/, "");
  const types = new Deno.Command(Deno.execPath(), { args: ["types"], stderr: "inherit" })
    .outputSync();
  if (!types.success) throw new Error("Cannot check for floating promises: `deno types` failed");
  const files = args.flatMap((path) => typeScriptFiles(`${project}/${path}`));
  const found = findFloating(files, { project, denoTypes: new TextDecoder().decode(types.stdout) });
  for (const { file, line, column, text } of found) {
    const path = file.slice(project.length + 1);
    console.error(`${path}:${line}:${column}: floating promise: ${text}`);
  }
  console.error(`Checked ${files.length} files: ${found.length} floating promises`);
  return found.length === 0 ? 0 : 1;
}

if (import.meta.main) process.exitCode = main(Deno.args);
