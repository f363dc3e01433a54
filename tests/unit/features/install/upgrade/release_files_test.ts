import assert from "node:assert/strict";
import {
  archiveName,
  compareVersions,
  releaseUrl,
  versionOfInstaller,
} from "@lib/features/install/upgrade/release_files.ts";
import { releaseInstaller } from "../../../../../tools/release/installer.ts";

Deno.test("compareVersions() orders versions as semver does", () => {
  const ordered = [
    "0.9.0",
    "0.10.0",
    "1.0.0-alpha",
    "1.0.0-alpha.1",
    "1.0.0-alpha.beta",
    "1.0.0-rc.2",
    "1.0.0-rc.10",
    "1.0.0",
    "1.0.1",
    "2.0.0",
  ];
  for (const [index, one] of ordered.entries()) {
    for (const [other, another] of ordered.entries()) {
      const order = Math.sign(compareVersions(one, another));
      assert.equal(order, Math.sign(index - other), `${one} and ${another}`);
    }
  }
  assert.equal(compareVersions("1.0.0+a", "1.0.0+b"), 0);
});

Deno.test("releaseUrl() fills in the version, or finds the latest release", () => {
  const cases = [
    ["https://x.example/cicd/", "1.2.3", "https://x.example/cicd"],
    ["https://x.example/{version}/files", "1.2.3", "https://x.example/1.2.3/files"],
    ["https://x.example/{version}/files", undefined, "https://x.example/latest/files"],
    [
      "https://github.com/o/r/releases/download/v{version}",
      "1.2.3",
      "https://github.com/o/r/releases/download/v1.2.3",
    ],
    [
      "https://github.com/o/r/releases/download/v{version}",
      undefined,
      "https://github.com/o/r/releases/latest/download",
    ],
  ] as const;
  for (const [base, version, url] of cases) assert.equal(releaseUrl(base, version), url);
});

Deno.test("versionOfInstaller() reads the setting that a release's installer has", () => {
  const text = "#!/bin/sh\ndefault_version=''\ndefault_base_url=''\ndefault_public_key=''\n";
  const settings = { version: "1.2.3-rc.1", baseUrl: undefined, publicKey: undefined };
  assert.equal(versionOfInstaller(releaseInstaller(text, settings)), "1.2.3-rc.1");
  assert.equal(versionOfInstaller(text), undefined);
});

Deno.test("archiveName() names the archive of a platform", () => {
  assert.equal(archiveName("aarch64-apple-darwin"), "cicd-toolkit-darwin-arm64.tar.gz");
});
