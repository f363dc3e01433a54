import assert from "node:assert/strict";
import { CicdError } from "@lib/core/errors.ts";
import { readJson } from "@lib/foundations/http/body.ts";

const limits = { maxBytes: 32, timeoutMs: 60_000 };

function post(body: BodyInit): Request {
  return new Request("http://localhost/", { method: "POST", body });
}

async function failure(request: Request, bounds = limits): Promise<CicdError> {
  try {
    await readJson(request, bounds);
  } catch (error) {
    assert(error instanceof CicdError);
    return error;
  }
  return assert.fail("it was read");
}

Deno.test("readJson() reads JSON in any number of chunks", async () => {
  const body = new ReadableStream({
    start(controller) {
      for (const byte of new TextEncoder().encode('{"a":"ü"}')) {
        controller.enqueue(new Uint8Array([byte]));
      }
      controller.close();
    },
  });
  assert.deepEqual(await readJson(post(body), limits), { a: "ü" });
});

for (
  const [name, body, code, message] of [
    ["an empty body", "", "invalid_json", /empty/],
    ["a body cut short", '{"a":', "invalid_json", /line 1, column 6/],
    ["an error on a later line", '{\n  "a": x\n}', "invalid_json", /line 2, column 8/],
    ["bytes that are no UTF-8", new Uint8Array([0x22, 0xff, 0x22]), "invalid_json", /UTF-8/],
    ["a body that is too large", "1".repeat(33), "body_too_large", /32B/],
  ] as const
) {
  Deno.test(`readJson() refuses ${name}`, async () => {
    const error = await failure(post(body));
    assert.equal(error.code, code);
    assert.match(error.message, message);
  });
}

for (
  const [what, body] of [
    ["20000 values", `[${"{},".repeat(20_000)}{}]`],
    ["10000 names", `{"env":{${'"A":1,'.repeat(10_000)}"B":1}}`],
    ["64 levels", "[".repeat(65) + "]".repeat(65)],
  ] as const
) {
  Deno.test(`readJson() parses no body of more than ${what}`, async () => {
    const bounds = { maxBytes: 1024 * 1024, timeoutMs: 60_000 };
    const error = await failure(post(body), bounds);
    assert.equal(error.code, "body_too_large");
    assert.match(error.message, new RegExp(what));
    const text = `"${body.replaceAll('"', "'")}"`;
    assert.equal(await readJson(post(text), bounds), text.slice(1, -1));
  });
}

Deno.test("readJson() quotes nothing of a broken body, which may hold a secret", async () => {
  const error = await failure(post('{"token": hunter2}'));
  assert.doesNotMatch(error.message, /hunter2/);
});

Deno.test("readJson() gives up on a body that never ends", async () => {
  const error = await failure(post(new ReadableStream()), { maxBytes: 32, timeoutMs: 1 });
  assert.equal(error.code, "request_timeout");
});

Deno.test("readJson() says io_failed when the client goes away", async () => {
  const body = new ReadableStream({ pull: (controller) => controller.error(new Error("reset")) });
  assert.equal((await failure(post(body))).code, "io_failed");
});
