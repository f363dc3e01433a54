import assert from "node:assert/strict";
import { checkHouse, type HouseOptions } from "../../../tools/lint/house/check_house.ts";

type Texts = Readonly<Record<string, string>>;

function check(texts: Texts, options: HouseOptions = {}) {
  return checkHouse(new Map(Object.entries(texts)), { forTests: {}, ...options });
}

function faults(texts: Texts, options?: HouseOptions): readonly string[] {
  return check(texts, options).faults;
}

Deno.test("checkHouse() finds an import circle and shows the shortest way around", () => {
  const circles = faults({
    "lib/core/a.ts": 'import { b } from "./b.ts"; export const a = b;',
    "lib/core/b.ts": 'import { c } from "@lib/core/c.ts"; export const b = c;',
    "lib/core/c.ts":
      'import { a } from "./a.ts"; import { b } from "./b.ts"; export const c = a + b;',
    "lib/core/d.ts": 'import { a } from "./a.ts"; f(a);',
  });
  assert.deepEqual(circles, ["import circle: lib/core/b.ts -> lib/core/c.ts -> lib/core/b.ts"]);
});

const CIRCLES: readonly (readonly [string, string])[] = [
  ["of types", 'import type { B } from "./b.ts"; export type A = B;'],
  ["of dynamic imports", 'export const a = async () => (await import("./b.ts")).B;'],
  ["of types in place", 'export type A = import("./b.ts").B;'],
  ["of exports handed on", 'export { B as A } from "./b.ts";'],
  ["of everything handed on", 'export * from "./b.ts";'],
];

for (const [name, text] of CIRCLES) {
  Deno.test(`checkHouse() finds a circle ${name}`, () => {
    const found = faults({
      "bench/a.ts": text,
      "bench/b.ts": 'import "./a.ts"; export class B {}',
    });
    assert.deepEqual(found, ["import circle: bench/a.ts -> bench/b.ts -> bench/a.ts"]);
  });
}

Deno.test("checkHouse() finds a file that imports itself", () => {
  const found = faults({ "tools/a.ts": 'import { a } from "./a.ts"; export const b = a;' });
  assert.deepEqual(found, ["import circle: tools/a.ts -> tools/a.ts"]);
});

/** The exports of a file that no other file needs, when another one holds the text. */
function dead(exporter: string, importer: string, path = "lib/core/user.ts"): readonly string[] {
  return faults({ "lib/core/given.ts": exporter, [path]: importer })
    .map((fault) => /"(\w+)"/.exec(fault)?.[1] ?? fault);
}

const TWO = "export const used = 1;\nexport const dead = 2;";

const TAKING_ONE: readonly string[] = [
  'import { used } from "./given.ts"; f(used);',
  'import { used as mine } from "@lib/core/given.ts"; f(mine);',
  'import type { used } from "./given.ts"; let x: typeof used;',
  'import { type used } from "./given.ts"; let x: typeof used;',
  'import * as all from "./given.ts"; f(all.used);',
  'import type * as all from "./given.ts"; let x: all.used;',
  'async function f() { const { used } = await import("./given.ts"); g(used); }',
  'async function f() { const { used: mine } = await import("./given.ts"); g(mine); }',
  'async function f() { return (await import("./given.ts")).used; }',
  'async function f() { const all = await import("./given.ts"); return all.used; }',
  'function f() { return import("./given.ts").then(({ used }) => used); }',
  'function f() { return import("./given.ts").then((all) => all.used); }',
  `async function f() {
    const [fs, { used }] = await Promise.all([import("node:fs"), import("./given.ts")]);
    g(fs, used);
  }`,
  'let x: import("./given.ts").used;',
];

for (const importer of TAKING_ONE) {
  Deno.test(`checkHouse() distinguishes used from dead by ${importer}`, () => {
    assert.deepEqual(dead(TWO, importer), ["dead"]);
  });
}

const TAKING_ALL: readonly string[] = [
  'import * as all from "./given.ts"; f(all);',
  'async function f() { return await import("./given.ts"); }',
  'async function f() { const all = await import("./given.ts"); g(all); }',
  'async function f() { const { used, ...rest } = await import("./given.ts"); g(used, rest); }',
  'let x: typeof import("./given.ts");',
];

for (const importer of TAKING_ALL) {
  Deno.test(`checkHouse() takes every export as used by ${importer}`, () => {
    assert.deepEqual(dead(TWO, importer), []);
  });
}

const EXPORTS: readonly (readonly [string, readonly string[]])[] = [
  ["export function f() {}\nexport class C {}\nexport enum E {}", ["f", "C", "E"]],
  ["export const { a, b: [c] } = x, d = 1;", ["a", "c", "d"]],
  ["const a = 1; export { a, a as b };", ["a", "b"]],
  ["export interface I {}\nexport type T = I;", ["I", "T"]],
  ["export default 1;", ["default"]],
  ["export default function f() {}", ["default"]],
];

for (const [exporter, names] of EXPORTS) {
  Deno.test(`checkHouse() finds all dead exports of ${exporter}`, () => {
    assert.deepEqual(dead(exporter, 'import "./given.ts";'), names);
  });
}

Deno.test("checkHouse() does not count the use of an export in its own file", () => {
  assert.deepEqual(dead("export function f() {}\nf();", ""), ["f"]);
});

Deno.test("checkHouse() keeps a type that the signature of a living export names", () => {
  const exporter = `export interface Options { readonly part: Part }
export type Part = string;
export interface Inside {}
export class Base {}
export class Made extends Base { run(options: Options): void { const x: Inside = {}; g(x); } }`;
  const found = dead(exporter, 'import { Made } from "./given.ts"; new Made();');
  assert.deepEqual(found, ["Inside", "Base"]);
});

Deno.test("checkHouse() follows exports that are handed on", () => {
  const texts = {
    "lib/core/given.ts": "export const a = 1;\nexport const b = 2;\nexport const c = 3;",
    "lib/core/hands.ts": 'export { a, b as renamed } from "./given.ts";',
    "lib/core/star.ts": 'export * from "./hands.ts";',
    "cmd/user.ts": 'import { renamed } from "@lib/core/star.ts"; f(renamed);',
  };
  assert.deepEqual(faults(texts), [
    'lib/core/given.ts:1: no other file imports "a"',
    'lib/core/given.ts:3: no other file imports "c"',
    'lib/core/hands.ts:1: no other file imports "a"',
  ]);
});

Deno.test("checkHouse() refuses what only tests import, unless there is a reason", () => {
  const texts = {
    "lib/core/given.ts": TWO,
    "tools/user.ts": 'import { used } from "../lib/core/given.ts"; f(used);',
    "tests/unit/given_test.ts": 'import { dead, used } from "@lib/core/given.ts"; f(dead, used);',
  };
  const forTests = { "lib/core/given.ts": { dead: "has cases of its own" } };
  assert.match(
    faults(texts).join("\n"),
    /^lib\/core\/given\.ts:2: only tests import "dead"[^\n]+$/,
  );
  assert.deepEqual(faults(texts, { forTests }), []);
});

Deno.test("checkHouse() refuses an exception that nothing needs", () => {
  const forTests = { "lib/core/given.ts": { used: "has cases of its own" } };
  const texts = {
    "lib/core/given.ts": "export const used = 1;",
    "lib/core/user.ts": 'import { used } from "./given.ts"; f(used);',
  };
  assert.match(faults(texts, { forTests }).join("\n"), /^lib\/core\/given\.ts: "used" needs no/);
});

Deno.test("checkHouse() lets exports of tools, benches and tests be", () => {
  const text = "export const x = 1;";
  assert.deepEqual(faults({ "tools/a.ts": text, "bench/a.ts": text, "tests/a.ts": text }), []);
});

Deno.test("checkHouse() refuses a product file of 401 lines and passes one of 400", () => {
  const found = faults({
    "lib/core/long.ts": "//\n".repeat(401),
    "cmd/fits.ts": "//\n".repeat(400),
    "tests/long.ts": "//\n".repeat(500),
  });
  assert.deepEqual(found, ["lib/core/long.ts: 401 lines, more than 400; split it"]);
});

Deno.test("checkHouse() hints at small files with one importer next door", () => {
  const { hints } = check({
    "lib/core/small.ts": "export const a = 1;\n",
    "lib/core/shared.ts": "export const b = 1;\n",
    "lib/core/user.ts": 'import { a } from "./small.ts"; import { b } from "./shared.ts"; f(a, b);',
    "lib/api/user.ts": 'import { b } from "@lib/core/shared.ts"; f(b);',
    "tests/small_test.ts": 'import { a } from "@lib/core/small.ts"; f(a);',
  });
  assert.deepEqual(hints, ["lib/core/small.ts: 1 lines, imported only by lib/core/user.ts"]);
});

/** The words found in a file of one line. */
function words(text: string, path = "lib/core/a.ts"): readonly string[] {
  return check({ [path]: text }).wording.map((line) => /"(.*?)": /.exec(line)?.[1] ?? line);
}

const REPLACED: readonly (readonly [string, readonly string[]])[] = [
  ["/** What it is. */", ["/** What …"]],
  ["/**\n * Whether it is. */", ["/** Whether …"]],
  ["/** Who it is. */", ["/** Who …"]],
  ["/** Says what it is. */", []],
  ["// What it is.", []],
  ["const attemptFolder = 1;", ["Folder"]],
  ["// how to mend it, for want of time", ["mend", "for want of"]],
  ["// amends, recommend", []],
  ['throw new Error("x is no known key");', ["is no known"]],
  ["// it knows of these, and keepers", ["knows of", "keepers"]],
  ["// the housekeeper", []],
  ["const readWish = judgeRunner(leftBehind);", ["readWish", "judgeRunner", "leftBehind"]],
  ["// we wish and judge what is left behind", []],
];

for (const [text, found] of REPLACED) {
  Deno.test(`checkHouse() finds ${found.length} words to replace in ${JSON.stringify(text)}`, () => {
    assert.deepEqual(words(text), found);
  });
}

Deno.test("checkHouse() reads the words of documents and of file names, but not of tests", () => {
  assert.deepEqual(words("Put it in a folder.", "docs/a.md"), ["folder"]);
  assert.deepEqual(words("", "lib/features/install/judge_files.ts"), ["judge_files.ts"]);
  assert.deepEqual(words("", "lib/spine/attempts/left_behind.ts"), ["left_behind.ts"]);
  assert.deepEqual(words("/** What a folder is. */", "tests/unit/a_test.ts"), []);
});
