import assert from "node:assert/strict";
import { formulaText } from "../../../../tools/release/formula.ts";

const TEMPLATE = `@stated_version@"@version@" "@homepage@" "@summary@"\n@downloads@`;
const OPTIONS = {
  version: "1.2.3",
  baseUrl: "https://example.org/us/it/releases/download/v{version}",
  archives: new Map([["x86_64-unknown-linux-gnu", "aa"], ["aarch64-apple-darwin", "bb"]]),
};

Deno.test("formulaText() has a download for each build", () => {
  assert.equal(
    formulaText(TEMPLATE, OPTIONS),
    `"1.2.3" "https://example.org/us/it" "CI/CD job runner for systemd user managers"
  on_macos do
    on_arm do
      url "https://example.org/us/it/releases/download/v1.2.3/cicd-toolkit-darwin-arm64.tar.gz"
      sha256 "bb"
    end
  end

  on_linux do
    on_intel do
      url "https://example.org/us/it/releases/download/v1.2.3/cicd-toolkit-linux-amd64.tar.gz"
      sha256 "aa"
    end
  end
`,
  );
});

Deno.test("formulaText() names the server where there is no repository", () => {
  const text = formulaText(TEMPLATE, {
    ...OPTIONS,
    baseUrl: "https://example.org/files/{version}/",
  });
  assert.ok(text.startsWith('  version "1.2.3"\n'));
  assert.match(text, /"https:\/\/example\.org\/"/);
  assert.match(text, /url "https:\/\/example\.org\/files\/1\.2\.3\/cicd/);
});

for (const baseUrl of ["http://example.org", 'https://example.org/"; x', "https://a/#{x}"]) {
  Deno.test(`formulaText() refuses ${baseUrl}`, () => {
    assert.throws(() => formulaText(TEMPLATE, { ...OPTIONS, baseUrl }), TypeError);
  });
}
