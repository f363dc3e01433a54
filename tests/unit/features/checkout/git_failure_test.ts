import assert from "node:assert/strict";
import { parseGitUrl } from "@lib/spine/spec/git_url.ts";
import { explainFailure, plainText, quoteOutput } from "@lib/features/checkout/git_failure.ts";

const parsed = parseGitUrl("https://example.org/app.git");
assert.ok(parsed.kind === "remote");
const { remote } = parsed;

function kindOf(stderr: string, token?: string): string {
  return explainFailure({ stderr, remote, token }).kind;
}

Deno.test("explainFailure() distinguishes the failures of a remote", () => {
  const asks =
    "fatal: could not read Username for 'https://example.org': terminal prompts disabled";
  const elsewhere = "fatal: could not read Password for 'https://u@evil.example': No such device";
  const unable = "fatal: unable to access 'https://example.org/app.git/':";
  const cases = [
    [asks, undefined, "needs_token"],
    [asks, "t0ken", "token_refused"],
    [elsewhere, "t0ken", "redirected"],
    ["fatal: Authentication failed for 'https://example.org/app.git/'", "t0ken", "token_refused"],
    [`${unable} The requested URL returned error: 403`, undefined, "needs_token"],
    [`${unable} The requested URL returned error: 500`, undefined, "unreachable"],
    [`${unable} The requested URL returned error: 429`, undefined, "unreachable"],
    [`${unable} The requested URL returned error: 400`, undefined, "refused"],
    ["error: RPC failed; curl 18 transfer closed with data remaining", undefined, "unreachable"],
    [`${unable} Could not resolve host: example.org`, undefined, "unreachable"],
    [`${unable} SSL certificate problem: self-signed certificate`, undefined, "certificate"],
    ["fatal: repository 'https://example.org/app.git/' not found", undefined, "not_found"],
    ["remote: Repository not found.", undefined, "not_found"],
    ["fatal: couldn't find remote ref refs/heads/x", undefined, "ref_not_found"],
    ["fatal: remote error: upload-pack: not our ref 1234", undefined, "sha_not_served"],
    ["error: Server does not allow request for unadvertised object 1", undefined, "sha_not_served"],
    ["Host key verification failed.", undefined, "host_key"],
    ["git@example.org: Permission denied (publickey).", undefined, "ssh_key"],
    ["fatal: transport 'file' not allowed", undefined, "protocol_refused"],
    ["fatal: write error: No space left on device", undefined, "disk_full"],
    ["error: object file is empty", undefined, "other"],
    ["", undefined, "other"],
  ] as const;
  for (const [stderr, token, kind] of cases) assert.equal(kindOf(stderr, token), kind, stderr);
});

Deno.test("explainFailure() quotes git in one bounded line, without secrets", () => {
  const token = "t0ken/with+signs";
  const stderr = [
    "Cloning into 'x'...",
    `fatal: https://u:pass@example.org/ ${token} ${encodeURIComponent(token)}`,
    "\u001b[31mremote: red\u001b[0m\r",
    "x".repeat(10_000),
  ].join("\n");
  const { message } = explainFailure({ stderr, remote, token });
  assert.doesNotMatch(message, /\p{Cc}|pass|t0ken/u);
  assert.ok(message.length < 1_500);
  assert.match(message, /:\/\/\*\*\*@example\.org/);
});

Deno.test("quoteOutput() keeps the last lines", () => {
  assert.equal(quoteOutput("1\n2\n3\n4\n5\n6\n", undefined), "3; 4; 5; 6");
});

Deno.test("plainText() bounds the text without breaking a character", () => {
  assert.equal(plainText("a\tb\u202ec\n", 10), "a b c");
  assert.ok(plainText("😀".repeat(10), 5).isWellFormed());
});
