import assert from "node:assert/strict";
import {
  changelogText,
  controlText,
  copyrightText,
  maintainerScripts,
} from "../../../../tools/release/deb_texts.ts";

const FACTS = {
  version: "0.1.0",
  date: "2026-01-02T03:04:05.000Z",
  maintainer: "A Person <person@example.org>",
  architecture: "amd64",
  installedBytes: 100_000_000,
};

Deno.test("controlText() has the fields that dpkg needs, and nothing empty", () => {
  const text = controlText(FACTS);
  assert.match(text, /^Package: cicd-toolkit\nVersion: 0\.1\.0\nArchitecture: amd64\n/);
  assert.match(text, /^Maintainer: A Person <person@example\.org>$/m);
  assert.match(text, /^Installed-Size: 97657$/m);
  for (const line of text.trimEnd().split("\n")) assert.match(line, /^(?:[A-Z][A-Za-z-]+: | )\S/);
});

Deno.test("changelogText() has one entry, dated as the release", () => {
  assert.match(
    changelogText(FACTS),
    /^cicd-toolkit \(0\.1\.0\) unstable; urgency=medium\n\n {2}\* .*\n\n -- .+ <.+@.+> {2}Fri, 02 Jan 2026 03:04:05 \+0000\n$/,
  );
});

Deno.test("copyrightText() has the licence as Debian quotes texts", () => {
  const license =
    "MIT License\n\nCopyright (c) 2026 us\n\nPermission is\ngranted.\n\nNo warranty.\n";
  const text = copyrightText(license);
  assert.ok(text.startsWith("Format: https://www.debian.org/doc/packaging-manuals/copyright-"));
  assert.match(text, /\n \/usr\/lib\/cicd-toolkit\/THIRD_PARTY_LICENSES has the texts/);
  assert.match(text, /\nFiles: \*\nCopyright: 2026 us\nLicense: Expat\n/);
  assert.ok(text.endsWith("\nLicense: Expat\n Permission is\n granted.\n .\n No warranty.\n"));
});

Deno.test("maintainerScripts() has one script for each moment that dpkg calls", () => {
  const scripts = maintainerScripts("#!/bin/sh\nset -e\nafter_install() { :; }\n");
  assert.deepEqual([...scripts.keys()], ["postinst", "prerm", "postrm"]);
  for (const text of scripts.values()) assert.ok(text.startsWith("#!/bin/sh\nset -e\n"));
  assert.match(scripts.get("prerm") ?? "", /\nif \[ "\$1" = remove \]; then before_remove; fi\n$/);
});
