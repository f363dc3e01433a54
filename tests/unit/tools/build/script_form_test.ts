import assert from "node:assert/strict";
import { toScriptForm } from "../../../../tools/build/script_form.ts";

Deno.test("toScriptForm() makes imports parameters, and exports a result", async () => {
  const { script, modules } = toScriptForm(
    'import{join as a,sep}from"node:path";import b from"node:os";import*as c from"node:fs";' +
      'import{resolve as d}from"node:path";import"node:util";' +
      "async function e(){return await import(a(sep,meta()))}function meta(){return import.meta.dirname}" +
      "export{e as load,meta as where};\n",
  );
  assert.deepEqual(modules, ["node:path", "node:os", "node:fs", "node:util"]);
  const run: unknown = (0, eval)(script);
  assert.ok(typeof run === "function");
  const loaded: string[] = [];
  const { load, where } = await run(
    { dirname: "lib" },
    (name: string) => Promise.resolve(loaded.push(name)),
    { join: (...names: string[]) => names.join("|"), sep: "/", resolve: 0 },
    { default: {} },
    {},
    {},
  );
  assert.equal(where(), "lib");
  await load();
  assert.deepEqual(loaded, ["/|lib"]);
});

Deno.test("toScriptForm() refuses what it would leave a module", () => {
  for (
    const source of [
      "const a=1;",
      'import{a}from"./other.js";export{a};',
      'import a from"npm:b";export{a};',
      "let a=1;export default a;export{a};",
    ]
  ) assert.throws(() => toScriptForm(source), /Cannot convert/, source);
});
