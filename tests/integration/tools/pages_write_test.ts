import assert from "node:assert/strict";
import { writeSite } from "../../../tools/pages/write_site.ts";

Deno.test("writeSite() shows nothing that a symlink of the tree leads to", async () => {
  await using t = await setup({ "README.md": "# A\n\n[x](docs/x.md) [y](docs/y)\n" });
  await Deno.writeTextFile(`${t.directory}/secret`, "secret");
  for (const name of ["x.md", "y"]) {
    await Deno.symlink("../../secret", `${t.root}/docs/${name}`);
  }
  const { dead } = await writeSite(t.root, t.out);
  assert.deepEqual(dead, ["index.html: no such page: docs/y"]);
  await Deno.remove(`${t.root}/docs/y`);
  await Deno.writeTextFile(`${t.root}/docs/y`, "public");
  assert.deepEqual((await writeSite(t.root, t.out)).dead, []);
  assert.doesNotMatch(await Deno.readTextFile(`${t.out}/docs/x.html`), /secret/);
  assert.match(await Deno.readTextFile(`${t.out}/source/docs/y.html`), /public/);
});

Deno.test("writeSite() replaces only pages", async () => {
  await using t = await setup({ "README.md": "# A\n" });
  await writeSite(t.root, t.out);
  await writeSite(t.root, t.out);
  const theirs = `${t.directory}/theirs`;
  await Deno.mkdir(theirs);
  await Deno.writeTextFile(`${theirs}/style.css`, "body { margin: 0 }\n");
  await assert.rejects(writeSite(t.root, theirs), /contains something other than pages/);
  assert.equal((await Deno.stat(`${theirs}/style.css`)).isFile, true);
});

async function setup(files: Readonly<Record<string, string>>) {
  const directory = await Deno.makeTempDir({ prefix: "pages-" });
  const root = `${directory}/root`;
  await Deno.mkdir(`${root}/docs/changes.d`, { recursive: true });
  for (const [path, text] of Object.entries({ "CHANGELOG.md": "# Changes\n", ...files })) {
    await Deno.writeTextFile(`${root}/${path}`, text);
  }
  return {
    directory,
    root,
    out: `${directory}/out`,
    [Symbol.asyncDispose]: () => Deno.remove(directory, { recursive: true }),
  };
}
