import assert from "node:assert/strict";
import { cacheExamples, documentPages } from "../../bench/caches/examples.ts";
import { CACHE_PROJECTS } from "../../bench/caches/projects.ts";

Deno.test("the generated documentation is fresh", async () => {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--allow-all", "tools/docs.ts", "--check"],
  }).output();
  assert.equal(code, 0, new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr));
});

Deno.test("every cache example of the documentation is measured by deno task bench:caches", async () => {
  const names = new Set<string>();
  for (const path of documentPages(".")) {
    for (const { place, caches } of cacheExamples(path, await Deno.readTextFile(path))) {
      const [{ name, paths: cached }] = caches;
      names.add(name);
      assert(CACHE_PROJECTS.some((project) => project.name === name), `${place}: ${name}`);
      // `npm ci` deletes it before it begins: the cache gains nothing.
      assert(!cached.includes("node_modules"), place);
    }
  }
  assert.deepEqual([...names].toSorted(), CACHE_PROJECTS.map(({ name }) => name).toSorted());
});

Deno.test("cacheExamples() refuses an example that cannot be measured", () => {
  const block = (text: string) => "# Title\n\n```yaml\n" + text + "```\n";
  assert.throws(() => cacheExamples("a.md", block("caches: [{ name: x, paths: [a] }]\n")), {
    message: /a\.md:3 cannot be measured/,
  });
  assert.deepEqual(cacheExamples("a.md", block("script: make\n")), []);
});
