import assert from "node:assert/strict";
import { artifactStep } from "@lib/features/artifacts/artifact_step.ts";
import { readArtifactList } from "@lib/features/artifacts/artifact_list.ts";
import { s3Upload } from "@lib/features/artifacts/s3_upload.ts";
import type { S3Settings } from "@lib/features/artifacts/keys.ts";
import { systemClock } from "@lib/core/clock.ts";
import { makeOutcome } from "../support/job_fixtures.ts";
import { openStorage, type S3Storage } from "../support/s3_storage.ts";
import { openWorkspace, type Workspace } from "../support/workspace.ts";

const NEVER = new AbortController().signal;
/** Waits between tries are not what is tested. */
const clock = { ...systemClock, sleep: () => Promise.resolve() };

function configOf(storage: S3Storage, changes: Partial<S3Settings> = {}): S3Settings {
  const { endpoint, bucket } = storage;
  return {
    endpoint,
    bucket,
    prefix: "ci/builds",
    region: "eu-west-1",
    accessKey: "env:S3_ACCESS",
    secretKey: "env:S3_SECRET",
    ...changes,
  };
}

async function upload(
  t: Workspace,
  storage: S3Storage,
  { changes = {}, secretKey = storage.secretKey, deadlineMs = 60_000, signal = NEVER, mask }: {
    changes?: Partial<S3Settings>;
    secretKey?: string;
    deadlineMs?: number;
    signal?: AbortSignal;
    mask?: (text: string) => string;
  } = {},
) {
  const env = (name: string) =>
    ({ S3_ACCESS: storage.accessKey, S3_SECRET: secretKey } as Record<string, string>)[name];
  const step = artifactStep({
    limits: () => ({ maxBytes: 1024 ** 3, maxFiles: 1_000 }),
    upload: () => s3Upload(configOf(storage, changes), { env, clock, deadlineMs }),
  });
  const spec = t.context({ artifacts: { paths: ["**/*"], when: "always" } });
  const context = mask === undefined ? spec : { ...spec, mask };
  const told = await step.after?.(context, makeOutcome(), signal) ?? [];
  const list = await readArtifactList(t.directory.artifactList);
  return { told, uploaded: list?.uploaded };
}

const placeOf = ({ ref }: Workspace) => `ci/builds/web/${ref.jobId}/1`;

Deno.test("s3Upload() stores each artifact with a signature that holds", async () => {
  await using t = await openWorkspace();
  await using storage = await openStorage();
  const names = ["plain.txt", "deep/a b+c.txt", "ünï/(x)!'*.txt", "100%.txt", "empty"];
  for (const name of names) await t.write(name, name === "empty" ? "" : `content of ${name}`);
  const { told, uploaded } = await upload(t, storage);
  assert.deepEqual(told, []);
  assert.equal(uploaded?.to, `s3://artifacts/${placeOf(t)}/`);
  assert.equal(uploaded.files, names.length);
  assert.equal(uploaded.missing, 0);
  for (const name of names) {
    const expected = name === "empty" ? "" : `content of ${name}`;
    assert.equal(await storage.read(`${placeOf(t)}/${name}`), expected, name);
  }
});

Deno.test("s3Upload() masks secrets in the names of objects and in what went wrong", async () => {
  await using t = await openWorkspace();
  await using storage = await openStorage();
  const mask = (text: string) => text.replaceAll("hunter2", "*******");
  await t.write("hunter2.txt", "a");
  assert.deepEqual((await upload(t, storage, { mask })).uploaded?.missing, 0);
  assert.equal(await storage.read(`${placeOf(t)}/*******.txt`), "a");
  const next = await t.next();
  await next.write("hunter2.txt", "a");
  const { told, uploaded } = await upload(next, storage, { mask, secretKey: "wrong" });
  assert.match(uploaded?.problem ?? "", /^"[*]{7}[.]txt"/);
  assert.match(told.join(), /"[*]{7}[.]txt"/);
});

Deno.test("s3Upload() tries again what failed in passing, and says so", async () => {
  await using t = await openWorkspace();
  await using storage = await openStorage();
  storage.failures.push(503, 500, 429);
  await t.write("a", "a");
  const { told, uploaded } = await upload(t, storage);
  const said = "The upload of the artifacts took 3 retries: the storage answered with 503 Injected";
  assert.deepEqual(told, [said]);
  assert.equal(uploaded?.files, 1);
  assert.equal(storage.asked.length, 4);
});

Deno.test("s3Upload() stops at a refusal, says so, and shows no key", async () => {
  await using t = await openWorkspace();
  await using storage = await openStorage();
  for (let index = 0; index < 20; index++) await t.write(`f${index}`, "x");
  const secretKey = "this-key-is-wrong";
  const { told, uploaded } = await upload(t, storage, { secretKey });
  assert.match(told.join(), /20 of 20 artifacts were not uploaded: .*403 SignatureDoesNotMatch/);
  assert.equal(uploaded?.missing, 20);
  assert(storage.asked.length <= 4);
  assert(!JSON.stringify({ told, uploaded }).includes(secretKey));
  assert(!JSON.stringify({ told, uploaded }).includes(storage.accessKey));
});

Deno.test("s3Upload() gives up at its deadline when nobody answers", async () => {
  await using t = await openWorkspace();
  await using storage = await openStorage();
  await t.write("a", "a");
  using silent = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = silent.addr;
  const changes = { endpoint: `http://127.0.0.1:${port}` };
  const { told } = await upload(t, storage, { changes, deadlineMs: 200 });
  assert.match(
    told.join(),
    /1 of 1 artifacts were not uploaded: Cannot wait longer for the storage/,
  );
});

Deno.test("s3Upload() says that there is no secret where the configuration points", async () => {
  await using t = await openWorkspace();
  await using storage = await openStorage();
  await t.write("a", "a");
  const { told } = await upload(t, storage, { changes: { secretKey: "env:NOT_SET" } });
  assert.match(told.join(), /artifacts\.s3\.secret_key.*NOT_SET is not set/);
  assert.equal(storage.asked.length, 0);
});

Deno.test("s3Upload() is done again if it was cut off, and not once it is recorded", async () => {
  await using t = await openWorkspace();
  await using storage = await openStorage();
  await t.write("a", "a");
  const cut = new AbortController();
  const reason = new Error("the agent is stopped");
  cut.abort(reason);
  await assert.rejects(upload(t, storage, { signal: cut.signal }), reason);
  assert.equal((await upload(t, storage)).uploaded?.files, 1);
  assert.equal((await upload(t, storage)).uploaded?.files, 1);
  assert.equal(storage.asked.length, 1);
});

Deno.test("s3Upload() needs no more memory for a large file", async () => {
  await using t = await openWorkspace();
  await using storage = await openStorage();
  await t.write("large", "");
  await Deno.truncate(`${t.directory.workspace}/large`, 300 * 1024 ** 2);
  // A storage that takes everything and keeps nothing.
  const { createServer } = await import("node:http");
  let taken = 0;
  const sink = createServer((request, response) => {
    request.on("data", (part) => taken += part.length);
    request.on("end", () => response.end());
  });
  await new Promise<void>((resolve) => sink.listen(0, "127.0.0.1", () => resolve()));
  const address = sink.address();
  assert(typeof address === "object" && address !== null);
  const before = Deno.memoryUsage().rss;
  const changes = { endpoint: `http://127.0.0.1:${address.port}` };
  const { told } = await upload(t, storage, { changes });
  const grown = Deno.memoryUsage().rss - before;
  sink.closeAllConnections();
  await new Promise<void>((resolve) => sink.close(() => resolve()));
  assert.deepEqual(told, []);
  assert.equal(taken, 300 * 1024 ** 2);
  assert(grown < 150 * 1024 ** 2, `${grown} bytes more`);
});
