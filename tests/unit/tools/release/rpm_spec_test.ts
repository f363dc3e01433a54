import assert from "node:assert/strict";
import { specText } from "../../../../tools/release/rpm_spec.ts";

const FACTS = {
  version: "1.2.3-rc.1",
  date: "2026-01-02T03:04:05.000Z",
  maintainer: "A Person <person@example.org>",
  paths: ["usr/bin/cicd-runner", "usr/lib/cicd-toolkit/LICENSE", "usr/lib/cicd-toolkit/units/a"],
  functions: "#!/bin/sh\nset -e\nprintf '%s' a\n",
};

Deno.test("specText() dates its entry as the release, and orders a prerelease before it", () => {
  const text = specText(FACTS);
  assert.match(text, /^Version: 1\.2\.3~rc\.1$/m);
  assert.match(text, /^Packager: A Person <person@example\.org>$/m);
  assert.match(text, /\n\* Fri Jan 02 2026 A Person <person@example\.org> - 1\.2\.3~rc\.1-1\n/);
});

Deno.test("specText() lists each file, and as directories only its own", () => {
  const [, files] = specText(FACTS).split("%files\n");
  assert.ok(
    files?.startsWith(`%defattr(-,root,root,-)
%dir /usr/lib/cicd-toolkit
%dir /usr/lib/cicd-toolkit/units
/usr/bin/cicd-runner
%license /usr/lib/cicd-toolkit/LICENSE
/usr/lib/cicd-toolkit/units/a

%changelog
`),
  );
});

Deno.test("specText() keeps scripts from being read as macros", () => {
  const text = specText(FACTS);
  assert.equal(text.split("printf '%%s' a\n").length, 4);
  assert.doesNotMatch(text, /#!\/bin\/sh/);
});
