import assert from "node:assert/strict";
import { openApi } from "../../../support/api_fixture.ts";

const wish = { name: "CI", scopes: ["submit"], projects: ["web"], expires_in: "90d" };

Deno.test("POST /v1/keys shows the key once, and nothing shows it again", async () => {
  using t = openApi();
  const response = await t.ask("POST", "/v1/keys", { body: wish });
  assert.equal(response.status, 201);
  assert.equal(response.headers.get("cache-control"), "no-store");
  const { key, ...rest } = await response.json();
  assert.match(key, /^cicd_/);
  assert.equal(rest.expires_at, new Date(1_000 + 90 * 86_400_000).toISOString());
  assert.deepEqual(rest.projects, ["web"]);
  const { keys } = await (await t.ask("GET", "/v1/keys")).json();
  assert.deepEqual(keys, [rest]);
  assert(!JSON.stringify(t.log.messages).includes(key));
});

for (
  const [change, path] of [
    [{ name: "" }, "name"],
    [{ name: "a\nb" }, "name"],
    [{ scopes: [] }, "scopes"],
    [{ scopes: ["root"] }, "scopes.0"],
    [{ projects: [] }, "projects"],
    [{ projects: ["../x"] }, "projects.0"],
    [{ expires_in: "0s" }, "expires_in"],
    [{ expires_in: "tomorrow" }, "expires_in"],
    [{ key: "cicd_mine" }, "key"],
  ] as const
) {
  Deno.test(`POST /v1/keys refuses ${JSON.stringify(change)} and names the field`, async () => {
    using t = openApi();
    const response = await t.ask("POST", "/v1/keys", { body: { ...wish, ...change } });
    assert.equal(response.status, 422);
    assert.equal((await response.json()).errors[0].path, path);
    assert.equal(t.keys.list().length, 0);
  });
}

Deno.test("POST /v1/keys/:id/rotate gives another secret and keeps the old one as asked", async () => {
  using t = openApi();
  const { key, text } = t.keys.create({ name: "CI", scopes: ["read"] });
  const rotated = await (await t.ask("POST", `/v1/keys/${key.id}/rotate?overlap=1h`)).json();
  assert.notEqual(rotated.key, text);
  assert.equal(t.keys.check(text).kind, "good");
  await t.clock.tick(3_600_000);
  assert.equal(t.keys.check(text).kind, "bad");
  assert.equal(t.keys.check(rotated.key).kind, "good");
  assert.equal((await t.ask("POST", `/v1/keys/${key.id}/rotate?overlap=31d`)).status, 422);
});

Deno.test("POST /v1/keys/:id/revoke is idempotent, and does not echo an invalid id", async () => {
  using t = openApi();
  const { key, text } = t.keys.create({ name: "CI", scopes: ["read"] });
  const revoke = (id: string) => t.ask("POST", `/v1/keys/${id}/revoke`);
  assert.equal((await revoke(key.id)).status, 200);
  assert.equal((await revoke(key.id)).status, 200);
  assert.equal((await revoke("0123456789abcdef")).status, 404);
  const whole = await (await revoke(text)).text();
  assert(!whole.includes(text.slice(-43)));
});
