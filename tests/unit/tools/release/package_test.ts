import assert from "node:assert/strict";
import { packageVersion } from "../../../../tools/release/package.ts";
import { requireMaintainer } from "../../../../tools/release/maintainer.ts";

Deno.test("packageVersion() puts a prerelease before its release", () => {
  assert.equal(packageVersion("1.2.3"), "1.2.3");
  assert.equal(packageVersion("1.2.3-rc.1"), "1.2.3~rc.1");
  assert.equal(packageVersion("1.2.3-rc-1"), "1.2.3~rc.1");
});

const baseUrl = "https://example.org/{version}";

Deno.test("requireMaintainer() takes a name and an address", () => {
  const maintainer = "A Person <person@example.org>";
  assert.equal(requireMaintainer({ maintainer, baseUrl }), maintainer);
  for (const wrong of [" ", "person@example.org", "<person@example.org>", "A <b>", "A\nB <c@d>"]) {
    assert.throws(() => requireMaintainer({ maintainer: wrong, baseUrl }), /it is not NAME <ADDR/);
  }
});

Deno.test("requireMaintainer() refuses to publish in nobody's name", () => {
  assert.throws(
    () => requireMaintainer({ maintainer: undefined, baseUrl }),
    /Cannot publish packages without a maintainer; state it with --maintainer "NAME <ADDRESS>"/,
  );
  assert.throws(() => requireMaintainer({ maintainer: "", baseUrl }), /without a maintainer/);
  const here = requireMaintainer({ maintainer: undefined, baseUrl: undefined });
  assert.equal(here, "nobody <nobody@localhost>");
});
