import assert from "node:assert/strict";
import {
  changelogText,
  controlText,
  copyrightText,
  debianVersion,
} from "../../../../tools/release/deb_texts.ts";

const FACTS = {
  version: "0.1.0",
  date: "2026-01-02T03:04:05.000Z",
  architecture: "amd64",
  installedBytes: 100_000_000,
};

Deno.test("debianVersion() puts a prerelease before its release", () => {
  assert.equal(debianVersion("1.2.3"), "1.2.3");
  assert.equal(debianVersion("1.2.3-rc.1"), "1.2.3~rc.1");
  assert.equal(debianVersion("1.2.3-rc-1"), "1.2.3~rc.1");
});

Deno.test("controlText() has the fields that dpkg needs, and nothing empty", () => {
  const text = controlText(FACTS);
  assert.match(text, /^Package: cicd-toolkit\nVersion: 0\.1\.0\nArchitecture: amd64\n/);
  assert.match(text, /^Installed-Size: 97657$/m);
  for (const line of text.trimEnd().split("\n")) assert.match(line, /^(?:[A-Z][A-Za-z-]+: | )\S/);
});

Deno.test("changelogText() has one entry, dated as the release", () => {
  assert.match(
    changelogText(FACTS),
    /^cicd-toolkit \(0\.1\.0\) unstable; urgency=medium\n\n {2}\* .*\n\n -- .+ <.+@.+> {2}Fri, 02 Jan 2026 03:04:05 \+0000\n$/,
  );
});

Deno.test("copyrightText() has the licence as Debian quotes texts, and each bundled package", () => {
  const license =
    "MIT License\n\nCopyright (c) 2026 us\n\nPermission is\ngranted.\n\nNo warranty.\n";
  const text = copyrightText(license, [
    { name: "@a/b", version: "1.0.0", license: "ISC" },
    { name: "c", version: "2.0.0", license: undefined },
  ]);
  assert.ok(text.startsWith("Format: https://www.debian.org/doc/packaging-manuals/copyright-"));
  assert.match(text, /\n {2}@a\/b 1\.0\.0: ISC\n {2}c 2\.0\.0: no licence stated\n\nFiles: \*\n/);
  assert.match(text, /\nFiles: \*\nCopyright: 2026 us\nLicense: Expat\n/);
  assert.ok(text.endsWith("\nLicense: Expat\n Permission is\n granted.\n .\n No warranty.\n"));
});
