import assert from "node:assert/strict";
import { artifactRoutes } from "@lib/features/artifacts/artifact_routes.ts";
import { noMask, openApi } from "../../../support/api_fixture.ts";

const TEXT = "0123456789";
const SHA = "a".repeat(64);

/** Artifacts in memory: one file of the first attempt, with a name that is hard to carry. */
function reading(path = "dist/a b.txt"): Parameters<typeof artifactRoutes>[0] {
  const file = { path, bytes: TEXT.length, sha256: SHA, mode: 0o700 };
  return {
    list: (_job, attempt) =>
      Promise.resolve(
        attempt !== 1 ? undefined : {
          version: 1,
          files: [file],
          left_out: [{ path: "link", why: "is a symbolic link" }],
          left_out_count: 1,
          unmatched: ["*.tgz"],
        },
      ),
    find: (_job, attempt, wanted) =>
      Promise.resolve(
        attempt !== 1 || wanted !== path ? undefined : {
          ...file,
          async *read(_signal, { from = 0, to = TEXT.length } = {}) {
            yield await Promise.resolve(new TextEncoder().encode(TEXT.slice(from, to)));
          },
        },
      ),
  };
}

function setup(artifacts = reading(), maskOf = noMask) {
  const api = openApi({
    replaced: { artifacts: () => ({ routes: artifactRoutes(artifacts, maskOf) }) },
  });
  const { id } = api.claim(api.add().id);
  return {
    ...api,
    id,
    get: (path: string, headers: Record<string, string> = {}, method = "GET") =>
      api.ask(method, `/v1/jobs/${id}/artifacts${path}`, { headers }),
    [Symbol.dispose]: () => api[Symbol.dispose](),
  };
}

Deno.test("GET artifacts lists what was kept of the latest attempt", async () => {
  using t = setup();
  const response = await t.get("");
  assert.equal(response.status, 200);
  assert.deepEqual(await response.json(), {
    job: t.id,
    attempt: 1,
    complete: true,
    files: [{
      path: "dist/a b.txt",
      bytes: 10,
      sha256: SHA,
      executable: true,
      url: `/v1/jobs/${t.id}/artifacts/dist/a%20b.txt?attempt=1`,
    }],
    left_out: [{ path: "link", why: "is a symbolic link" }],
    left_out_count: 1,
    unmatched: ["*.tgz"],
    uploaded: null,
  });
});

Deno.test("GET artifacts distinguishes a list that does not exist yet from one that never will", async () => {
  using t = setup({ list: () => Promise.resolve(undefined), find: reading().find });
  const list = await (await t.get("")).json();
  assert.equal(list.complete, false);
  assert.deepEqual(list.files, []);
  assert.equal((await t.get("?attempt=2")).status, 404);
  assert.equal((await t.get("?attempt=0")).status, 422);
});

Deno.test("GET artifacts/path downloads a file as nothing but bytes", async () => {
  using t = setup();
  const response = await t.get("/dist/a%20b.txt");
  assert.equal(response.status, 200);
  assert.equal(await response.text(), TEXT);
  const { headers } = response;
  assert.equal(headers.get("content-type"), "application/octet-stream");
  assert.equal(headers.get("x-content-type-options"), "nosniff");
  assert.equal(headers.get("content-length"), "10");
  assert.equal(headers.get("etag"), `"${SHA}"`);
  assert.equal(
    headers.get("content-disposition"),
    `attachment; filename="a b.txt"; filename*=UTF-8''a%20b.txt`,
  );
});

Deno.test("GET artifacts/path takes slashes that are written as %2F", async () => {
  using t = setup();
  assert.equal((await t.get("/dist%2Fa%20b.txt")).status, 200);
});

Deno.test("GET artifacts/path carries any name in a header that holds", async () => {
  const name = 'ü"; filename=evil.html\\\u2028%41(1).txt';
  using t = setup(reading(name));
  const response = await t.get(`/${encodeURIComponent(name)}`);
  const field = response.headers.get("content-disposition") ?? "";
  assert.match(field, /^attachment; filename="[^"\\%]*"; filename\*=UTF-8''[A-Za-z0-9._%~!-]+$/);
  assert.equal(decodeURIComponent(field.slice(field.lastIndexOf("'") + 1)), name);
});

Deno.test("GET artifacts/path answers a range", async () => {
  using t = setup();
  const cases = [["bytes=2-4", "234", "2-4"], ["bytes=7-", "789", "7-9"], [
    "bytes=-2",
    "89",
    "8-9",
  ]];
  for (const [range = "", text, shown] of cases) {
    const response = await t.get("/dist/a%20b.txt", { range });
    assert.equal(response.status, 206);
    assert.equal(await response.text(), text);
    assert.equal(response.headers.get("content-range"), `bytes ${shown}/10`);
    assert.equal(response.headers.get("content-length"), String(text?.length));
  }
  const beyond = await t.get("/dist/a%20b.txt", { range: "bytes=10-" });
  assert.equal(beyond.status, 416);
  assert.equal(beyond.headers.get("content-range"), "bytes */10");
});

Deno.test("GET artifacts/path minds If-Range and If-None-Match", async () => {
  using t = setup();
  const part = { range: "bytes=2-4", "if-range": `"${SHA}"` };
  assert.equal((await t.get("/dist/a%20b.txt", part)).status, 206);
  const other = { range: "bytes=2-4", "if-range": '"other"' };
  assert.equal((await t.get("/dist/a%20b.txt", other)).status, 200);
  for (const tags of [`"${SHA}"`, `"x", W/"${SHA}"`, "*"]) {
    const response = await t.get("/dist/a%20b.txt", { "if-none-match": tags });
    assert.equal(response.status, 304);
    assert.equal(await response.text(), "");
  }
  assert.equal((await t.get("/dist/a%20b.txt", { "if-none-match": '"x"' })).status, 200);
});

Deno.test("GET artifacts/path finds nothing that is not in the list", async () => {
  using t = setup();
  for (const path of ["/dist", "/..%2F..%2Fattempt.json", "/%2e%2e/x", "/%00", "/x%0Ay"]) {
    const response = await t.get(path);
    assert.equal(response.status, 404, path);
    assert.equal((await response.json()).code, "not_found");
  }
});

Deno.test("HEAD artifacts/path gives the header alone", async () => {
  using t = setup();
  const response = await t.get("/dist/a%20b.txt", {}, "HEAD");
  assert.equal(response.status, 200);
  assert.equal(response.headers.get("content-length"), "10");
  assert.equal(await response.text(), "");
});

Deno.test("POST artifacts/path lists the allowed methods", async () => {
  using t = setup();
  const response = await t.get("/deep/path", {}, "POST");
  assert.equal(response.status, 405);
  assert.equal(response.headers.get("allow"), "GET, HEAD");
});

Deno.test("/openapi.json describes the path of an artifact as a parameter", async () => {
  using t = setup();
  const { paths } = await (await t.ask("GET", "/openapi.json")).json();
  const names = paths["/v1/jobs/{id}/artifacts/{path}"].get.parameters
    .map(({ name }: { name: string }) => name);
  assert.deepEqual(names, ["id", "path", "attempt"]);
});

Deno.test("GET artifacts masks a secret in a name, and gives the file by the name it shows", async () => {
  const mask = (text: string) => text.replaceAll("hunter2", "*******");
  using t = setup(reading("dist/hunter2.txt"), () => Promise.resolve(mask));
  const text = await (await t.get("")).text();
  assert.doesNotMatch(text, /hunter2/);
  assert.match(text, /dist\/\*{7}\.txt/);
  const file = await t.get(`/${encodeURIComponent("dist")}/*******.txt`);
  assert.equal(file.status, 200);
  assert.doesNotMatch(file.headers.get("content-disposition") ?? "", /hunter2/);
  assert.equal(await file.text(), TEXT);
});
