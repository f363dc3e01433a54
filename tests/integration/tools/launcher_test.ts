import assert from "node:assert/strict";
import { launcherText, LIB_PATH, PROGRAMS } from "../../../tools/build/layout.ts";

const TEMPLATE = new URL("../../../tools/build/launcher.sh", import.meta.url);

/** A release whose runtime prints its arguments, and a copy of a launcher elsewhere. */
async function setup(at: string, knowsOrigin: boolean) {
  const directory = await Deno.makeTempDir({ prefix: "launcher-" });
  const [program] = PROGRAMS;
  assert.ok(program);
  const release = `${directory}/${at}`;
  const lib = `${release}/${LIB_PATH}`;
  await Deno.mkdir(lib, { recursive: true });
  await Deno.mkdir(`${directory}/usr/local/bin`, { recursive: true });
  await Deno.writeTextFile(`${lib}/deno`, '#!/bin/sh\necho "$(cat /proc/$$/comm): $*"\n', {
    mode: 0o755,
  });
  await Deno.symlink("deno", `${lib}/cicd-runner`);
  await Deno.writeTextFile(`${lib}/runner.js`, "");
  const text = launcherText(
    await Deno.readTextFile(TEMPLATE),
    program,
    knowsOrigin ? release : undefined,
  );
  const copy = `${directory}/usr/local/bin/cicd-runner`;
  await Deno.writeTextFile(copy, text, { mode: 0o755 });
  return {
    lib,
    async run() {
      const { code, stdout, stderr } = await new Deno.Command(copy, {
        args: ["version"],
        clearEnv: true,
        env: { PATH: "/usr/bin:/bin", HOME: `${directory}/home` },
      }).output();
      return {
        code,
        stdout: new TextDecoder().decode(stdout),
        stderr: new TextDecoder().decode(stderr),
      };
    },
    [Symbol.asyncDispose]: () => Deno.remove(directory, { recursive: true }),
  };
}

Deno.test("a launcher copied alone finds the release it was built with", async () => {
  await using t = await setup("it's dist", true);
  const { code, stdout, stderr } = await t.run();
  assert.equal(code, 0, stderr);
  assert.match(stdout, /^cicd-runner: run /);
  assert.ok(stdout.endsWith(`${t.lib}/runner.js version\n`), stdout);
});

Deno.test("a launcher copied alone finds the installed release", async () => {
  await using t = await setup("home/.local/lib/cicd-toolkit/current", false);
  assert.equal((await t.run()).code, 0);
});

Deno.test("a launcher copied alone says what to do if there is no release", async () => {
  await using t = await setup("unpacked", false);
  const { code, stderr } = await t.run();
  assert.equal(code, 78);
  assert.match(stderr, /run install\.sh, or make a symlink/);
});
