import assert from "node:assert/strict";
import { parseGitUrl } from "@lib/spine/spec/git_url.ts";
import { Git, gitEnvironment } from "@lib/features/checkout/git_command.ts";
import type { RunCommand } from "@lib/foundations/process/run_command.ts";
import { FakeClock } from "../../../support/fake_clock.ts";

const OWN = {
  PATH: "/bin",
  HOME: "/home/me",
  SSH_AUTH_SOCK: "/run/agent",
  https_proxy: "http://proxy.example.org",
  GIT_DIR: "/evil",
  GIT_SSL_NO_VERIFY: "1",
};

const QUIET = { clock: new FakeClock(), say: (line: string) => assert.fail(line) };

function accessTo(url: string) {
  const parsed = parseGitUrl(url);
  assert.ok(parsed.kind === "remote");
  return { remote: parsed.remote, askpass: undefined, token: undefined };
}

function environmentFor(url: string | undefined, knownHosts?: string) {
  const setting = {
    runCommand: () => Promise.reject(new Error("not called")),
    own: OWN,
    home: "/empty",
    timeoutMs: 1,
    ...QUIET,
    ...(knownHosts === undefined ? {} : { knownHosts }),
  };
  return gitEnvironment(setting, url === undefined ? {} : { access: accessTo(url) });
}

Deno.test("gitEnvironment() opens only what the remote needs", () => {
  const local = environmentFor(undefined);
  assert.equal(local["GIT_ALLOW_PROTOCOL"], "none");
  const https = environmentFor("https://example.org/app");
  assert.equal(https["GIT_ALLOW_PROTOCOL"], "https");
  assert.equal(https["https_proxy"], "http://proxy.example.org");
  assert.equal(environmentFor("http://example.org/app")["GIT_ALLOW_PROTOCOL"], "http:https");
  const ssh = environmentFor("git@example.org:app", "/etc/it's");
  assert.equal(ssh["SSH_AUTH_SOCK"], "/run/agent");
  assert.match(ssh["GIT_SSH_COMMAND"] ?? "", /-o 'UserKnownHostsFile="\/etc\/it'\\''s"'$/);
  for (const env of [local, https, ssh]) {
    assert.equal(env["HOME"], "/empty");
    assert.equal(env["GIT_DIR"], undefined);
    assert.equal(env["GIT_SSL_NO_VERIFY"], undefined);
  }
  assert.equal(https["SSH_AUTH_SOCK"], undefined);
});

Deno.test("Git.run() switches hooks and monitors off and names the repository itself", async () => {
  const calls: (readonly string[])[] = [];
  const runCommand: RunCommand = (argv) => {
    calls.push(argv);
    const result = { code: 0, signal: undefined, stdout: "out", stderr: "", truncated: false };
    return Promise.resolve(result);
  };
  const git = new Git({ runCommand, own: OWN, home: "/empty", timeoutMs: 1, ...QUIET });
  const signal = new AbortController().signal;
  assert.equal(await git.run(["log"], { gitDir: "/w/.git", workTree: "/w", signal }), "out");
  const [argv = []] = calls;
  for (
    const setting of ["core.hooksPath=/dev/null", "core.fsmonitor=false", "credential.helper="]
  ) {
    assert.equal(argv[argv.indexOf(setting) - 1], "-c");
  }
  assert.deepEqual(argv.slice(-3), ["--git-dir=/w/.git", "--work-tree=/w", "log"]);
});
