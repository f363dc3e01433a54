import assert from "node:assert/strict";
import { KeyStore } from "@lib/features/access/key_store.ts";
import { CicdError } from "@lib/core/errors.ts";
import { parseProjectName } from "@lib/core/ids.ts";
import { FakeClock } from "../../../support/fake_clock.ts";
import { openMemoryStore } from "../../../support/job_fixtures.ts";

const DAY_MS = 86_400_000;
const USE_STEP_MS = 10 * 60_000;

function setup() {
  const memory = openMemoryStore();
  const clock = new FakeClock(1_000);
  const keys = new KeyStore(memory.db, clock);
  return { ...memory, clock, keys, [Symbol.dispose]: () => memory[Symbol.dispose]() };
}

function project(name: string) {
  const parsed = parseProjectName(name);
  assert(parsed !== undefined);
  return parsed;
}

Deno.test("KeyStore.create() makes keys that differ, with their id in the text", () => {
  using t = setup();
  const one = t.keys.create({ name: "one", scopes: ["read"] });
  const other = t.keys.create({ name: "other", scopes: ["read"] });
  assert.match(one.text, /^cicd_[0-9a-f]{16}_[A-Za-z0-9_-]{43}$/);
  assert.notEqual(one.text, other.text);
  assert.equal(one.text.slice("cicd_".length, -44), one.key.id);
});

for (
  const [change, why] of [
    [() => "", "nothing"],
    [(text: string) => text.slice(0, -1), "too little secret"],
    [(text: string) => text.replace("cicd", "xxxx"), "another prefix"],
    [(text: string) => `${text.slice(0, 21).toUpperCase()}${text.slice(21)}`, "capitals in the id"],
    [(text: string) => `${text}\n`, "a line break"],
  ] as const
) {
  Deno.test(`KeyStore.check() does not accept a key with ${why}`, () => {
    using t = setup();
    const { text } = t.keys.create({ name: "CI", scopes: ["read"] });
    assert.deepEqual(t.keys.check(change(text)), { kind: "bad", problem: "unknown" });
  });
}

Deno.test("KeyStore.create() keeps neither the key nor its secret", () => {
  using t = setup();
  const { text } = t.keys.create({ name: "CI", scopes: ["submit"] });
  const secret = text.slice(-43);
  const [row] = t.db.all("SELECT *, hex(hash) AS hex FROM api_keys");
  assert(row !== undefined);
  const shown = JSON.stringify(row) + new TextDecoder().decode(row["hash"] as Uint8Array);
  assert(!shown.includes(secret));
  assert.equal(String(row["hex"]).length, 64);
});

Deno.test("KeyStore.check() recognizes a key, its scopes and projects", () => {
  using t = setup();
  const { key, text } = t.keys.create({
    name: "CI",
    scopes: ["read", "submit"],
    projects: [project("web")],
  });
  assert.deepEqual(t.keys.check(text), { kind: "good", key });
  assert.deepEqual(key.scopes, ["submit", "read"]);
  assert.deepEqual(key.projects, ["web"]);
});

Deno.test("KeyStore.check() refuses every change of a key", () => {
  using t = setup();
  const { text } = t.keys.create({ name: "CI", scopes: ["read"] });
  for (let at = 5; at < text.length; at++) {
    const other = text[at] === "a" ? "b" : "a";
    const changed = text.slice(0, at) + other + text.slice(at + 1);
    assert.deepEqual(t.keys.check(changed), { kind: "bad", problem: "unknown" });
  }
});

Deno.test("KeyStore.check() reports a revoked key, even if it is rotated afterwards", () => {
  using t = setup();
  const { key, text } = t.keys.create({ name: "CI", scopes: ["read"] });
  const revoked = t.keys.revoke(key.id);
  assert.equal(revoked.revokedAt, 1_000);
  assert.deepEqual(t.keys.check(text), { kind: "bad", problem: "revoked" });
  assert.throws(() => t.keys.rotate(key.id, 0), /Cannot rotate key .* it is revoked/);
  assert.deepEqual(t.keys.revoke(key.id), revoked);
});

Deno.test("KeyStore.check() refuses a key from the moment of its expiry on", async () => {
  using t = setup();
  const { text } = t.keys.create({ name: "CI", scopes: ["read"], expiresAt: 2_000 });
  await t.clock.tick(999);
  assert.equal(t.keys.check(text).kind, "good");
  await t.clock.tick(1);
  assert.deepEqual(t.keys.check(text), { kind: "bad", problem: "expired" });
});

Deno.test("KeyStore.rotate() ends the old secret at once, unless there is an overlap", () => {
  using t = setup();
  const { key, text } = t.keys.create({ name: "CI", scopes: ["read"] });
  const rotated = t.keys.rotate(key.id, 0);
  assert.equal(rotated.key.id, key.id);
  assert.equal(t.keys.check(text).kind, "bad");
  assert.equal(t.keys.check(rotated.text).kind, "good");
});

Deno.test("KeyStore.rotate() keeps the secret before for the overlap, and only that one", async () => {
  using t = setup();
  const { key, text } = t.keys.create({ name: "CI", scopes: ["read"] });
  const second = t.keys.rotate(key.id, 5_000);
  assert.equal(t.keys.check(text).kind, "good");
  assert.equal(t.keys.check(second.text).kind, "good");
  const third = t.keys.rotate(key.id, 5_000);
  assert.deepEqual(t.keys.check(text), { kind: "bad", problem: "unknown" });
  await t.clock.tick(5_000);
  assert.deepEqual(t.keys.check(second.text), { kind: "bad", problem: "expired" });
  assert.equal(t.keys.check(third.text).kind, "good");
  t.keys.rotate(key.id, 5_000);
  t.keys.revoke(key.id);
  assert.deepEqual(t.keys.check(third.text), { kind: "bad", problem: "unknown" });
});

Deno.test("KeyStore.noteUse() writes the last use now and then, not each time", async () => {
  using t = setup();
  const { key } = t.keys.create({ name: "CI", scopes: ["read"] });
  const used = () => t.keys.require(key.id).lastUsedAt;
  t.keys.noteUse(key);
  assert.equal(used(), 1_000);
  await t.clock.tick(USE_STEP_MS - 1);
  t.keys.noteUse(t.keys.require(key.id));
  assert.equal(used(), 1_000);
  await t.clock.tick(1);
  t.keys.noteUse(t.keys.require(key.id));
  assert.equal(used(), 1_000 + USE_STEP_MS);
});

Deno.test("KeyStore.create() makes room by forgetting what is long no good, else refuses", async () => {
  using t = setup();
  for (let n = 0; n < 999; n++) t.keys.create({ name: `k${n}`, scopes: ["read"] });
  const old = t.keys.create({ name: "old", scopes: ["read"], expiresAt: 2_000 });
  const refused = (error: unknown) => error instanceof CicdError && error.code === "state_conflict";
  assert.throws(() => t.keys.create({ name: "new", scopes: ["read"] }), refused);
  await t.clock.tick(91 * DAY_MS);
  t.keys.create({ name: "new", scopes: ["read"] });
  assert.equal(t.keys.list().length, 1_000);
  assert.throws(() => t.keys.require(old.key.id), /Cannot find key/);
});
