import assert from "node:assert/strict";
import { licenseOf, packagesIn, packagesOf } from "../../../../tools/build/licenses.ts";

Deno.test("packagesOf() names each package once, by the directory that its files are in", () => {
  const at = "../../tree/node_modules/.deno";
  const sources = [
    "../../tree/lib/core/errors.ts",
    `${at}/yaml@2.9.1/node_modules/yaml/dist/index.js`,
    `${at}/yaml@2.9.1/node_modules/yaml/dist/log.js`,
    `${at}/ansi-regex@5.0.1/node_modules/ansi-regex/index.js`,
    `${at}/ansi-regex@6.6.0/node_modules/ansi-regex/index.js`,
    // By its own source map, a file that is not published.
    `${at}/@js-sdsl+ordered-map@4.4.2/node_modules/@js-sdsl/.build-data/copied/index.ts`,
    `${at}/@hono+node-server@2.1.8_hono@4.13.19/node_modules/@hono/node-server/dist/index.mjs`,
  ];
  assert.deepEqual(packagesOf(sources), [
    { name: "@hono/node-server", version: "2.1.8" },
    { name: "@js-sdsl/ordered-map", version: "4.4.2" },
    { name: "ansi-regex", version: "5.0.1" },
    { name: "ansi-regex", version: "6.6.0" },
    { name: "yaml", version: "2.9.1" },
  ]);
});

Deno.test("packagesIn() reads the titles, not what a licence says", () => {
  const line = "=".repeat(100);
  const text = `Introduction\n${line}\ndeno\nLicence: MIT\n\nmay\nname it\nLicence: no\n` +
    `${line}\n@a/b 1.0.0\nLicence: (MIT OR ISC)\n\n=====\nc 2.0.0\n`;
  assert.deepEqual(packagesIn(text), [{ name: "@a/b", version: "1.0.0" }]);
});

Deno.test("licenseOf() reads today's and the older forms", () => {
  assert.equal(licenseOf('{"license":"MIT"}'), "MIT");
  assert.equal(licenseOf('{"license":{"type":"ISC"}}'), "ISC");
  assert.equal(
    licenseOf('{"licenses":[{"type":"MIT"},{"type":"BSD-3-Clause"}]}'),
    "MIT OR BSD-3-Clause",
  );
  assert.equal(licenseOf("{}"), undefined);
});
