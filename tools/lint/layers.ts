/**
 * The repository's syntactic rules, as a plugin for `deno lint`.
 *
 * @module
 */
import { isExternal, mayImport, mayUse, ownersHint, placeOf, resolveInside } from "./places.ts";

type Reference =
  | Deno.lint.ImportDeclaration
  | Deno.lint.ExportNamedDeclaration
  | Deno.lint.ExportAllDeclaration
  | Deno.lint.ImportExpression;

/** Imports go down the layers, and each outside package has one owner. */
const layers: Deno.lint.Rule = {
  create(context) {
    const place = placeOf(context.filename);
    if (place?.depth === undefined) return {};
    const check = (node: Reference) => {
      const specifier = specifierOf(node);
      if (specifier === undefined) return;
      if (isExternal(specifier)) {
        if (mayUse(place, specifier)) return;
        context.report({
          node,
          message: `"${specifier}" must not be imported in ${place.path}`,
          hint: ownersHint(specifier),
        });
        return;
      }
      const target = resolveInside(place, specifier);
      if (target === undefined) {
        context.report({
          node,
          message: `"${specifier}" is neither in the project nor a package with an owner`,
          hint: ownersHint(specifier),
        });
      } else if (!mayImport(place, target)) {
        context.report({
          node,
          message: `${place.directory} must not import ${target.directory}`,
          hint: "Imports go down: cmd, features, api, spine, foundations, core; " +
            "to use a neighbor, declare a small port that cmd/*/wire.ts connects",
        });
      }
    };
    return {
      ImportDeclaration: check,
      ExportNamedDeclaration: check,
      ExportAllDeclaration: check,
      ImportExpression: check,
    };
  },
};

/** Some calls of Deno have owners too. */
const ownedCalls: Deno.lint.Rule = {
  create(context) {
    const place = placeOf(context.filename);
    if (place === undefined) return {};
    return {
      MemberExpression(node) {
        if (node.object.type !== "Identifier" || node.object.name !== "Deno") return;
        const name = node.property.type === "Identifier" && !node.computed
          ? node.property.name
          : node.property.type === "Literal"
          ? String(node.property.value)
          : "";
        const call = `Deno.${name}`;
        if (mayUse(place, call)) return;
        context.report({
          node,
          message: `${call} must not be used in ${place.path}`,
          hint: ownersHint(call),
        });
      },
    };
  },
};

/** A failure is handled, rethrown, or explicitly ignored with a reason. */
const noEmptyCatch: Deno.lint.Rule = {
  create(context) {
    return {
      CatchClause(node) {
        if (node.body.body.length > 0) return;
        context.report({
          node,
          message: "An empty catch loses the failure",
          hint: 'Handle it, let it through, or write `promise.catch(ignore("why"))`',
        });
      },
      "CallExpression[callee.property.name='catch']"(node: Deno.lint.CallExpression) {
        const [handler] = node.arguments;
        if (handler?.type !== "ArrowFunctionExpression") return;
        if (handler.body.type !== "BlockStatement" || handler.body.body.length > 0) return;
        context.report({
          node,
          message: "An empty rejection handler loses the failure",
          hint: 'Write `.catch(ignore("why"))` with ignore() of @lib/core/errors.ts',
        });
      },
    };
  },
};

/** Importing a file of the product starts nothing. */
const noTopLevelWork: Deno.lint.Rule = {
  create(context) {
    const place = placeOf(context.filename);
    if (place?.depth === undefined || /[/_]main\.ts$/.test(context.filename)) return {};
    const report = (node: Deno.lint.Node) =>
      context.report({
        node,
        message: "Importing a file must not start work",
        hint: "Move it into a function that main.ts calls",
      });
    return {
      "Program > ExpressionStatement": report,
      "Program > ForStatement": report,
      "Program > ForInStatement": report,
      "Program > ForOfStatement": report,
      "Program > WhileStatement": report,
      "Program > IfStatement": report,
      "Program > TryStatement": report,
      "Program > VariableDeclaration > VariableDeclarator > AwaitExpression": report,
      "Program > ExportNamedDeclaration > VariableDeclaration > VariableDeclarator > AwaitExpression":
        report,
      "Program > VariableDeclaration[kind='let']": report,
      "Program > ExportNamedDeclaration > VariableDeclaration[kind='let']": report,
    };
  },
};

function specifierOf(node: Reference): string | undefined {
  const { source } = node;
  return source?.type === "Literal" && typeof source.value === "string" ? source.value : undefined;
}

const plugin: Deno.lint.Plugin = {
  name: "cicd",
  rules: {
    "layers": layers,
    "owned-calls": ownedCalls,
    "no-empty-catch": noEmptyCatch,
    "no-top-level-work": noTopLevelWork,
  },
};

export default plugin;
