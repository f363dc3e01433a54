import assert from "node:assert/strict";

const ROOT = new URL("../../../", import.meta.url).pathname;

async function pages(...args: readonly string[]) {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--allow-all", `${ROOT}tools/pages.ts`, ...args],
  }).output();
  const decoder = new TextDecoder();
  return { code, text: decoder.decode(stdout) + decoder.decode(stderr) };
}

Deno.test("the documentation has no dead links, and becomes pages that load nothing from elsewhere", async () => {
  const directory = await Deno.makeTempDir({ prefix: "pages-" });
  try {
    const { code, text } = await pages("--out", `${directory}/site`);
    assert.equal(code, 0, text);
    assert.match(text, /^\d+ pages, 0 dead links$/m);
    const home = await Deno.readTextFile(`${directory}/site/index.html`);
    assert.match(home, /<title>cicd-toolkit<\/title>/);
    const style = await Deno.readTextFile(`${directory}/site/style.css`);
    assert.match(style, /color-scheme: light dark/);
    assert.doesNotMatch(style, /url\(|@import/);
    // Again, in place of the earlier one; never of anything else.
    assert.equal((await pages("--out", `${directory}/site`)).code, 0);
    await Deno.writeTextFile(`${directory}/mine`, "");
    const refused = await pages("--out", directory);
    assert.equal(refused.code, 64);
    assert.match(refused.text, /contains something other than pages/);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
