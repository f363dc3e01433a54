import assert from "node:assert/strict";
import { raceAbort } from "@lib/core/abort.ts";
import { openStage } from "../support/upgrade_stage.ts";
import { downloadText } from "@lib/features/install/upgrade/download.ts";

Deno.test("downloadText() leaves no request to a server that never answers", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  const signal = AbortSignal.timeout(30_000);
  const url = `http://127.0.0.1:${port}/checksums.txt`;
  const accepted = listener.accept();
  await assert.rejects(downloadText(url, { maxBytes: 100, answerMs: 50, signal }), {
    code: "deadline_exceeded",
  });
  // In case that it was given up before it was connected.
  (await Deno.connect({ port })).close();
  using connection = await accepted;
  // A program with an open request does not end.
  const bytes = new Uint8Array(4_096);
  while (await raceAbort(connection.read(bytes), signal) !== null);
});

/** Runs the command on the installation of a stage, as a person does. */
async function runUpgrade(directory: string, args: readonly string[], cwd = directory) {
  const main = new URL("../../cmd/runner/main.ts", import.meta.url).pathname;
  const config = new URL("../../deno.json", import.meta.url).pathname;
  const { code, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--no-check", "-A", "--config", config, main, "upgrade", ...args],
    cwd,
    env: { HOME: directory, XDG_CONFIG_HOME: directory, XDG_RUNTIME_DIR: `${directory}/run` },
    stdin: "null",
  }).output();
  return { code, stderr: new TextDecoder().decode(stderr) };
}

Deno.test("upgrade shows what a server says without its control characters, and not all of it", async () => {
  await using t = await openStage();
  await Deno.mkdir(`${t.prefix}/bin`);
  await t.publish({ version: "1.1.0" });
  const line = `\x1b]0;owned\x07\x9b2J${"x".repeat(100_000)}`;
  await Deno.writeTextFile(`${t.published}/checksums.txt`, line);
  const args = ["--prefix", t.prefix, "--from", `file://${t.published}`];
  const { code, stderr } = await runUpgrade(t.directory, args);
  assert.notEqual(code, 0);
  assert.match(stderr, /Cannot read the checksum "\ufffd\]0;owned/);
  assert.doesNotMatch(stderr, /[^\P{Cc}\n]/u);
  assert.ok(stderr.length < 1_000);
});

Deno.test("upgrade takes a prefix from the working directory", async () => {
  await using t = await openStage();
  await Deno.mkdir(`${t.prefix}/bin`);
  await t.publish({ version: "1.1.0" });
  for (const prefix of ["prefix", "./prefix/", "../prefix"]) {
    const args = ["--recover", "--prefix", prefix];
    const cwd = prefix.startsWith("..") ? `${t.directory}/bin` : t.directory;
    assert.deepEqual(await runUpgrade(t.directory, args, cwd), { code: 0, stderr: "" }, prefix);
  }
});
