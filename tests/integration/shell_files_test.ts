import assert from "node:assert/strict";
import { VERSION } from "@lib/core/version.ts";

const ROOT = new URL("../../", import.meta.url).pathname;

const SHELL_FILES: readonly (readonly [path: string, words: RegExp])[] = [
  ["bash-completion/completions/cicd-runner", /complete .*cicd-runner/],
  ["zsh/site-functions/_cicd-runner", /#compdef cicd-runner/],
  ["fish/vendor_completions.d/cicd-runner.fish", /complete -c cicd-runner/],
  ["man/man1/cicd-runner.1", /^\.TH CICD-RUNNER 1 [\s\S]*\n\.SS run\n[\s\S]*\\-\\-limit\\-memory/],
];

Deno.test("install.sh installs completions and the manual page, and removes them", async () => {
  const directory = await Deno.makeTempDir({ prefix: "cicd-shell-" });
  try {
    await makeRelease(directory);
    await runInstaller(directory);
    for (const [path, words] of SHELL_FILES) {
      assert.match(await Deno.readTextFile(`${directory}/home/share/${path}`), words);
    }
    await runInstaller(directory, "--uninstall");
    for (const [path] of SHELL_FILES) {
      await assert.rejects(Deno.lstat(`${directory}/home/share/${path}`), Deno.errors.NotFound);
    }
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

/** Makes a release whose programs are those of this tree, and which has no units. */
async function makeRelease(directory: string): Promise<void> {
  const lib = `${directory}/lib/cicd-toolkit`;
  await Deno.mkdir(`${lib}/units`, { recursive: true });
  await Deno.mkdir(`${directory}/bin`);
  await Deno.mkdir(`${directory}/home`);
  await Deno.writeTextFile(`${lib}/build.json`, `{\n  "version": "${VERSION}"\n}\n`);
  await Deno.writeTextFile(`${lib}/units/cicd-runner.service`, "");
  const main = `${Deno.execPath()} run --quiet --allow-all ${ROOT}cmd/runner/main.ts`;
  const program = `#!/bin/sh\ncase $1 in (install | uninstall) echo --purge; exit 0;; esac\n` +
    `exec ${main} "$@"\n`;
  for (const name of ["cicd-runner", "cicd-agent"]) {
    await Deno.writeTextFile(`${directory}/bin/${name}`, program, { mode: 0o755 });
  }
  await Deno.copyFile(`${ROOT}install.sh`, `${directory}/install.sh`);
}

async function runInstaller(directory: string, ...args: readonly string[]): Promise<void> {
  const { code, stderr } = await new Deno.Command("sh", {
    args: [`${directory}/install.sh`, "--prefix", `${directory}/home`, ...args],
    env: { HOME: `${directory}/home` },
  }).output();
  assert.equal(code, 0, new TextDecoder().decode(stderr));
}
