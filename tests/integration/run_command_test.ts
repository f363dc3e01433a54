import assert from "node:assert/strict";
import { CicdError } from "@lib/core/errors.ts";
import { runCommand } from "@lib/foundations/process/run_command.ts";

const signal = new AbortController().signal;
const env = { PATH: "/usr/local/bin:/usr/bin:/bin" };

function sh(script: string, options: Partial<Parameters<typeof runCommand>[1]> = {}) {
  return runCommand(["/bin/sh", "-c", script], { env, signal, ...options });
}

Deno.test("runCommand() returns code, stdout and stderr", async () => {
  const result = await sh("echo out; echo err >&2; exit 3");
  assert.deepEqual(result, {
    code: 3,
    signal: undefined,
    stdout: "out\n",
    stderr: "err\n",
    truncated: false,
  });
});

Deno.test("runCommand() names the signal that ended the program", async () => {
  const result = await sh("kill -TERM $$");
  assert.equal(result.signal, "SIGTERM");
  assert.equal(result.code, 143);
});

Deno.test("runCommand() inherits no variable", async () => {
  const { stdout } = await runCommand(["/usr/bin/env"], { env: { ONLY: "this" }, signal });
  assert.equal(stdout, "ONLY=this\n");
});

Deno.test("runCommand() feeds standard input, more than a pipe holds", async () => {
  const { stdout } = await sh("wc -c", { stdin: "x".repeat(300_000) });
  assert.equal(stdout.trim(), "300000");
});

Deno.test("runCommand() does not mind a program that reads no input", async () => {
  const { code } = await sh("exit 0", { stdin: "x".repeat(300_000) });
  assert.equal(code, 0);
});

Deno.test("runCommand() keeps the first bytes and drops the rest", async () => {
  const result = await sh("head -c 500000 /dev/zero | tr '\\0' a", { maxBytes: 1_000 });
  assert.equal(result.code, 0);
  assert.equal(result.stdout, "a".repeat(1_000));
  assert.ok(result.truncated);
});

Deno.test("runCommand() kills the whole process group at the deadline", async () => {
  await assert.rejects(
    sh("sleep 60 & sleep 60", { timeoutMs: 50 }),
    (error) => error instanceof CicdError && error.code === "deadline_exceeded",
  );
});

Deno.test("runCommand() rejects with the signal's reason", async () => {
  const stop = new AbortController();
  const running = sh("sleep 60", { signal: stop.signal });
  const reason = new Error("enough");
  stop.abort(reason);
  await assert.rejects(running, reason);
});

Deno.test("runCommand() does not wait for what the program left behind", async () => {
  const { code, stdout } = await sh("echo out; sleep 60 & echo $! ");
  assert.equal(code, 0);
  const [word, pid] = stdout.split("\n");
  assert.equal(word, "out");
  Deno.kill(Number(pid), "SIGKILL");
});

Deno.test("runCommand() says that the command is not found", async () => {
  await assert.rejects(
    runCommand(["/no/such/program"], { signal }),
    (error) =>
      error instanceof CicdError && error.code === "io_failed" &&
      error.message === 'Cannot run "/no/such/program": command not found',
  );
});

Deno.test("runCommand() refuses an empty argv and a bad variable", async () => {
  await assert.rejects(runCommand([], { signal }), TypeError);
  await assert.rejects(runCommand(["/bin/true"], { env: { "A B": "" }, signal }), TypeError);
});
