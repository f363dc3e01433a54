import assert from "node:assert/strict";
import { splitSecret } from "@lib/features/checkout/credentials.ts";
import { GitFailure } from "@lib/features/checkout/git_failure.ts";

Deno.test("splitSecret() takes the user from the secret, or the one the host expects", () => {
  const cases = [
    ["ghp_abc", "https://github.com", "x-access-token", "ghp_abc"],
    ["glpat-abc\n", "https://gitlab.example.org:8443", "oauth2", "glpat-abc"],
    ["abc", "https://bitbucket.org", "x-token-auth", "abc"],
    ["robot:abc", "https://example.org", "robot", "abc"],
    ["me@example.org:a:b", "https://example.org", "me@example.org", "a:b"],
  ] as const;
  for (const [secret, origin, user, token] of cases) {
    assert.deepEqual(splitSecret(secret, origin), { user, token });
  }
});

Deno.test("splitSecret() refuses what can be no token, without repeating it", () => {
  for (const secret of ["", " \n", "line one\nline two"]) {
    assert.throws(
      () => splitSecret(secret, "https://example.org"),
      (error) => error instanceof GitFailure && !error.message.includes("line one"),
    );
  }
});
