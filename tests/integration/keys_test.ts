import assert from "node:assert/strict";
import { fromFileUrl } from "@lib/core/file_url.ts";
import { makeCertificate } from "../support/certificate.ts";
import { RunnerBench } from "../support/runner_process.ts";

const MAIN = fromFileUrl(new URL("../../cmd/runner/main.ts", import.meta.url).href);

async function cli(
  bench: RunnerBench,
  args: readonly string[],
  env: Readonly<Record<string, string>> = { CICD_SOCKET: bench.socket },
) {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--allow-all", MAIN, ...args],
    clearEnv: true,
    env: {
      PATH: Deno.env.get("PATH") ?? "/usr/bin:/bin",
      HOME: bench.directory,
      DENO_DIR: Deno.env.get("DENO_DIR") ?? `${Deno.env.get("HOME")}/.cache/deno`,
      ...env,
    },
    stdin: "null",
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: text(stdout), stderr: text(stderr) };
}

function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

Deno.test("keys create prints the key alone, list shows all but it, revoke ends it", async () => {
  await using bench = new RunnerBench();
  await bench.start();
  const made = await cli(bench, [
    ...["keys", "create", "--name", "CI", "--scope", "submit", "--scope", "read"],
    ...["--project", "web", "--expires", "90d"],
  ]);
  assert.equal(made.code, 0, made.stderr);
  assert.match(made.stdout, /^cicd_[0-9a-f]{16}_[A-Za-z0-9_-]{43}\n$/);
  assert.match(made.stderr, /CI \([0-9a-f]{16}\): submit, read for web, until .*shown only once/s);
  const key = made.stdout.trim();
  assert(!made.stderr.includes(key));
  const id = key.slice(5, 21);
  const listed = await cli(bench, ["keys", "list"]);
  assert.match(listed.stdout, new RegExp(`${id} +CI +submit,read +web +never +valid until`));
  assert(!listed.stdout.includes(key.slice(-43)));
  const rotated = await cli(bench, ["keys", "rotate", id, "--overlap", "1d", "--json"]);
  assert.notEqual(JSON.parse(rotated.stdout).key, key);
  assert.equal((await cli(bench, ["keys", "revoke", id])).code, 0);
  assert.match((await cli(bench, ["keys", "list"])).stdout, /revoked/);
  const unknown = await cli(bench, ["keys", "revoke", "0123456789abcdef"]);
  assert.equal(unknown.code, 66);
});

Deno.test("a key is nowhere on disk, and good after the runner was killed", async () => {
  await using bench = new RunnerBench();
  const port = freePort();
  await bench.start([`--listen-address=${port}`]);
  const { body: { key } } = await bench.json("POST", "/v1/keys", {
    body: { name: "CI", scopes: ["read"] },
  });
  const ask = async (shown: string) => {
    const response = await fetch(`http://127.0.0.1:${port}/v1/status`, {
      headers: { authorization: `Bearer ${shown}` },
    });
    await response.body?.cancel();
    return response.status;
  };
  assert.equal(await ask(key), 200);
  await bench.kill();
  const secret = key.slice(-43);
  for (const { name, isFile } of Deno.readDirSync(bench.stateDir)) {
    if (!isFile) continue;
    const text = new TextDecoder("latin1").decode(Deno.readFileSync(`${bench.stateDir}/${name}`));
    assert(!text.includes(secret), name);
  }
  await bench.start([`--listen-address=${port}`]);
  assert.equal(await ask(key), 200);
  assert.equal(await ask(`${key.slice(0, -2)}AA`), 401);
});

Deno.test("the command line reaches a runner elsewhere over TLS with a key, and only so", async () => {
  await using bench = new RunnerBench();
  const port = freePort();
  await makeCertificate(bench.directory, "one");
  await bench.start([
    `--listen-address=127.0.0.1:${port}`,
    `--listen-tls-certificate=${bench.directory}/one.crt`,
    `--listen-tls-key=${bench.directory}/one.key`,
  ]);
  const { body: { key } } = await bench.json("POST", "/v1/keys", {
    body: { name: "CI", scopes: ["read"] },
  });
  await Deno.writeTextFile(`${bench.directory}/key`, `${key}\n`, { mode: 0o600 });
  const env = {
    CICD_URL: `https://localhost:${port}`,
    CICD_API_KEY: `file:${bench.directory}/key`,
    CICD_CA_FILE: `${bench.directory}/one.crt`,
  };
  const good = await cli(bench, ["status", "--json"], env);
  assert.equal(good.code, 0, good.stderr);
  assert.equal(JSON.parse(good.stdout).queued, 0);
  const refused = await cli(bench, ["keys", "list"], env);
  assert.equal(refused.code, 77);
  assert.match(refused.stderr, /it allows read, and this requires admin/);
  const untrusted = await cli(bench, ["jobs"], { ...env, CICD_CA_FILE: "" });
  assert.notEqual(untrusted.code, 0);
  const open = await cli(bench, ["jobs", "--url", "http://ci.example.org:8080"], env);
  assert.equal(open.code, 64);
  assert.match(open.stderr, /unencrypted/);
  const keyless = await cli(bench, ["jobs"], { CICD_URL: env.CICD_URL });
  assert.match(keyless.stderr, /set CICD_API_KEY/);
});
