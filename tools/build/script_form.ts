/**
 * Turns a bundle from a module into a script, whose compiled code can be kept: of a module, the
 * runtime keeps only what it compiles before the first function is called.
 *
 * @module
 */

/** A bundle as a script. */
export interface ScriptForm {
  /** An expression: an async function of `meta`, `load` and the modules, which returns the exports. */
  readonly script: string;
  /** The runtime's modules that it takes, in order. */
  readonly modules: readonly string[];
}

const IMPORT = /import(?: ([\w$]+),?)?(?:\*as ([\w$]+)|\{([^{}]*)\})?(?: ?from)?"(node:[\w/]+)";/g;
const EXPORT = /export\{([\w$ ,]+)\};\s*$/;

/** Begins the names that the script adds; no minified name begins like it. */
const OWN = "bundle$";

/**
 * Converts a minified bundle.
 *
 * @throws {Error} If it imports or exports in a form that is not known here.
 */
export function toScriptForm(source: string): ScriptForm {
  const modules: string[] = [];
  const exported = EXPORT.exec(source);
  if (exported === null) throw new Error("Cannot convert a bundle that exports nothing");
  const body = source.slice(0, exported.index).replace(
    IMPORT,
    (_, standard?: string, all?: string, some?: string, module = "") => {
      if (!modules.includes(module)) modules.push(module);
      const from = nameOf(modules.indexOf(module));
      const bound = [
        ...standard === undefined ? [] : [`${standard}=${from}.default`],
        ...all === undefined ? [] : [`${all}=${from}`],
        ...some === undefined ? [] : [`{${some.replace(/ as /g, ":")}}=${from}`],
      ];
      return bound.length === 0 ? "" : `const ${bound.join(",")};`;
    },
  ).replace(/\bimport\.meta\b/g, () => `${OWN}meta`).replace(/\bimport\(/g, () => `${OWN}load(`);
  const rest = /(?:^|[;}])import(?:[{*"]|\s+[\w$])|[;}]export[{ ]/.exec(body);
  if (rest !== null) {
    throw new Error(`Cannot convert a bundle that contains ${body.substr(rest.index, 80)}`);
  }
  const parameters = [`${OWN}meta`, `${OWN}load`, ...modules.map((_, index) => nameOf(index))];
  const returned = (exported[1] ?? "").replace(/([\w$]+) as ([\w$]+)/g, "$2:$1");
  return {
    script: `"use strict";(async(${parameters.join(",")})=>{${body}\nreturn{${returned}}})`,
    modules,
  };
}

/** Returns the name of a module in the script. */
function nameOf(index: number): string {
  return `${OWN}${index}`;
}
