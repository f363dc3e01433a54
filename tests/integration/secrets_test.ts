import assert from "node:assert/strict";
import { CicdError } from "@lib/core/errors.ts";
import { resolveSecret } from "@lib/foundations/secrets/references.ts";
import { openKey } from "@lib/foundations/secrets/seal.ts";

async function tempDir() {
  const path = await Deno.makeTempDir({ prefix: "cicd-secrets-" });
  return {
    path,
    [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }),
  };
}

function isInvalid(text: RegExp): (error: unknown) => boolean {
  return (error) =>
    error instanceof CicdError && error.code === "invalid_config" && text.test(error.message) &&
    !Deno.inspect(error).includes("hunter2");
}

Deno.test("openKey() makes a private key once and reads it from then on", async () => {
  await using dir = await tempDir();
  const path = `${dir.path}/key`;
  const made = openKey(path);
  assert.deepEqual(openKey(path).key.expose(), made.key.expose());
  const { mode, size } = await Deno.stat(path);
  assert.equal((mode ?? 0) & 0o7777, 0o600);
  assert.equal(size, 32);
  assert.deepEqual([...Deno.readDirSync(dir.path)].map(({ name }) => name), ["key"]);
});

Deno.test("openKey() gives processes that race for it the same key", async () => {
  await using dir = await tempDir();
  const code = `
    import { openKey } from ${
    JSON.stringify(import.meta.resolve("@lib/foundations/secrets/seal.ts"))
  };
    await Deno.stdin.read(new Uint8Array(1));
    const { key } = openKey(${JSON.stringify(`${dir.path}/key`)});
    console.log(key.expose().join());`;
  const racer = `${dir.path}/racer.ts`;
  await Deno.writeTextFile(racer, code);
  const config = new URL("../../deno.json", import.meta.url).pathname;
  const racers = Array.from({ length: 3 }, () =>
    new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--no-check", "--config", config, racer],
      stdin: "piped",
      stdout: "piped",
    }).spawn());
  await Promise.all(racers.map(({ stdin }) => stdin.close()));
  const outputs = await Promise.all(racers.map((one) => one.output()));
  const keys = outputs.map(({ stdout }) => new TextDecoder().decode(stdout));
  assert.equal(keys[0]?.split(",").length, 32);
  assert.equal(new Set(keys).size, 1);
});

Deno.test("openKey() refuses a key that others may read, or of another length", async () => {
  await using dir = await tempDir();
  const path = `${dir.path}/key`;
  openKey(path);
  for (const mode of [0o640, 0o604, 0o700]) {
    await Deno.chmod(path, mode);
    assert.throws(() => openKey(path), isInvalid(/wider than 0600; run chmod 600/));
  }
  await Deno.chmod(path, 0o600);
  await Deno.truncate(path, 31);
  assert.throws(() => openKey(path), isInvalid(/31 bytes instead of 32/));
});

Deno.test("openKey() fails where it cannot write", () => {
  assert.throws(
    () => openKey("/nowhere/at/all/key"),
    (error) => error instanceof CicdError && error.code === "io_failed",
  );
});

Deno.test("resolveSecret() reads private files and systemd's credentials", async () => {
  await using dir = await tempDir();
  const path = `${dir.path}/token`;
  await Deno.writeTextFile(path, "hunter2\n", { mode: 0o600 });
  const env = (name: string) => name === "CREDENTIALS_DIRECTORY" ? dir.path : undefined;
  const options = { field: "api.key", env };
  assert.equal(resolveSecret(`file:${path}`, options).expose(), "hunter2");
  await Deno.chmod(path, 0o440);
  assert.equal(resolveSecret("credential:token", options).expose(), "hunter2");
  assert.throws(() => resolveSecret(`file:${path}`, options), isInvalid(/"api.key".*mode is 0440/));
});

Deno.test("resolveSecret() rejects an invalid secret, naming field and file", async () => {
  await using dir = await tempDir();
  const path = `${dir.path}/token`;
  const options = { field: "api.key", env: () => undefined };
  const refused = (text: RegExp) =>
    assert.throws(() => resolveSecret(`file:${path}`, options), isInvalid(text));
  refused(/"api.key": there is no file/);
  await Deno.writeTextFile(path, "\n", { mode: 0o600 });
  refused(/is empty/);
  await Deno.writeFile(path, new Uint8Array([0xff, 0xfe]));
  refused(/is not UTF-8/);
  await Deno.writeTextFile(path, "hunter2".repeat(10_000));
  refused(/longer than 64K/);
  await Deno.remove(path);
  await Deno.mkdir(path);
  refused(/it is not a regular file/);
});
