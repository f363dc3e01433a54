import assert from "node:assert/strict";
import { KeyAuthenticator } from "@lib/features/access/authenticator.ts";
import { KeyStore } from "@lib/features/access/key_store.ts";
import { type ErrorCode } from "@lib/core/error_codes.ts";
import { CicdError } from "@lib/core/errors.ts";
import { FakeClock } from "../../../support/fake_clock.ts";
import { openMemoryStore } from "../../../support/job_fixtures.ts";
import { RecordingLogger } from "../../../support/recording_logger.ts";

const FAILURES_PER_MINUTE = 30;

function setup({ requestsPerMinute = 600 } = {}) {
  const memory = openMemoryStore();
  const clock = new FakeClock(1_000);
  const keys = new KeyStore(memory.db, clock);
  const log = new RecordingLogger();
  const authenticator = new KeyAuthenticator({
    keys,
    requestsPerMinute: () => requestsPerMinute,
    clock,
    log,
  });
  const ask = (key: string | undefined, address = "192.0.2.1") =>
    authenticator.authenticate(new Headers(key === undefined ? {} : { "x-api-key": key }), address);
  return {
    ...memory,
    clock,
    keys,
    log,
    authenticator,
    ask,
    [Symbol.dispose]: () => memory[Symbol.dispose](),
  };
}

function refused(code: ErrorCode, retryAfterMs?: number) {
  return (error: unknown) => {
    assert(error instanceof CicdError);
    assert.equal(error.code, code);
    assert.equal(error.retryAfterMs, retryAfterMs);
    return true;
  };
}

Deno.test("KeyAuthenticator.authenticate() identifies the holder of a key, and records its use", () => {
  using t = setup();
  const { key, text } = t.keys.create({ name: "CI", scopes: ["submit"] });
  assert.deepEqual(t.ask(text), { kind: "key", id: key.id, name: "CI", scopes: ["submit"] });
  assert.equal(t.keys.require(key.id).lastUsedAt, 1_000);
});

Deno.test("KeyAuthenticator.authenticate() says what to do when no key came, and never shows a wrong one", () => {
  using t = setup();
  assert.throws(() => t.ask(undefined), /send it as 'Authorization: Bearer KEY'/);
  assert.throws(() => t.ask(""), refused("unauthorized"));
  const { text } = t.keys.create({ name: "CI", scopes: ["submit"] });
  const wrong = `${text.slice(0, -4)}AAAA`;
  assert.throws(() => t.ask(wrong), (error) => !String(error).includes(wrong.slice(-20)));
  assert(!JSON.stringify(t.log.messages).includes(wrong.slice(-20)));
});

for (
  const [headers, isAccepted] of [
    [{ authorization: "Bearer KEY" }, true],
    [{ authorization: "bearer  KEY " }, true],
    [{ authorization: "Basic KEY" }, false],
    [{ "x-api-key": " KEY " }, true],
    [{ authorization: "Bearer KEY", "x-api-key": "def" }, true],
    [{}, false],
  ] as const
) {
  Deno.test(`KeyAuthenticator.authenticate() reads ${JSON.stringify(headers)}`, () => {
    using t = setup();
    const { text } = t.keys.create({ name: "CI", scopes: ["submit"] });
    const sent = new Headers(
      Object.entries(headers).map(([name, value]) => [name, value.replace("KEY", text)]),
    );
    const authenticate = () => t.authenticator.authenticate(sent, "192.0.2.1");
    if (isAccepted) assert.equal(authenticate().name, "CI");
    else assert.throws(authenticate, /send it as/);
  });
}

Deno.test("KeyAuthenticator.authenticate() bounds the requests of one key, and says when to come back", async () => {
  using t = setup({ requestsPerMinute: 2 });
  const one = t.keys.create({ name: "CI", scopes: ["submit"] }).text;
  const other = t.keys.create({ name: "Bot", scopes: ["submit"] }).text;
  t.ask(one);
  t.ask(one);
  assert.throws(() => t.ask(one), refused("rate_limited", 30_000));
  t.ask(other);
  await t.clock.tick(30_000);
  t.ask(one);
});

Deno.test("KeyAuthenticator.authenticate() bounds failures by address, and lets a good key of it pass", async () => {
  using t = setup();
  const good = t.keys.create({ name: "CI", scopes: ["submit"] }).text;
  for (let n = 0; n < FAILURES_PER_MINUTE; n++) {
    assert.throws(() => t.ask("wrong"), refused("unauthorized"));
  }
  assert.throws(() => t.ask("wrong"), refused("rate_limited", 2_000));
  assert.throws(() => t.ask("wrong", "192.0.2.2"), refused("unauthorized"));
  t.ask(good);
  assert.equal(t.log.messages.length, FAILURES_PER_MINUTE + 1);
  await t.clock.tick(2_000);
  assert.throws(() => t.ask("wrong"), refused("unauthorized"));
});

Deno.test("KeyAuthenticator.authenticate() treats all addresses of an IPv6 network as one", () => {
  using t = setup();
  const address = (n: number) => n % 2 === 0 ? `2001:db8:1:2::${n}` : `2001:db8:1:2:a:b:c:${n}`;
  for (let n = 0; n < FAILURES_PER_MINUTE; n++) {
    assert.throws(() => t.ask("wrong", address(n)), refused("unauthorized"));
  }
  assert.throws(() => t.ask("wrong", "2001:db8:1:2:ffff::"), refused("rate_limited", 2_000));
  assert.throws(() => t.ask("wrong", "2001:db8:1:3::1"), refused("unauthorized"));
});

Deno.test("KeyAuthenticator.countFailure() counts with what failed before, and says when to come back", () => {
  using t = setup();
  for (let n = 1; n < FAILURES_PER_MINUTE; n++) {
    assert.throws(() => t.ask("wrong"), refused("unauthorized"));
  }
  t.authenticator.countFailure("192.0.2.1", "the key of Gryt's API is wrong");
  assert.throws(
    () => t.authenticator.countFailure("192.0.2.1", "the key of Gryt's API is wrong"),
    refused("rate_limited", 2_000),
  );
  t.authenticator.countFailure("192.0.2.2", "the key of Gryt's API is wrong");
});

Deno.test("KeyAuthenticator.watch() ends the answers to a key that is revoked, replaced or expired", async () => {
  using t = setup();
  const stop = new AbortController();
  const watching = t.authenticator.watch(stop.signal);
  const open = (text: string) => t.authenticator.invalidated(new Headers({ "x-api-key": text }));
  const key = { name: "CI", scopes: ["read"] } as const;
  const [kept, revoked, rotated] = [t.keys.create(key), t.keys.create(key), t.keys.create(key)];
  const expiring = t.keys.create({ ...key, expiresAt: 60_000 });
  const signals = [kept, revoked, rotated, expiring].map(({ text }) => open(text));
  assert.equal(open(kept.text), signals[0]);
  await t.clock.tick(10_000);
  assert.deepEqual(signals.map(({ aborted }) => aborted), [false, false, false, false]);
  t.keys.revoke(revoked.key.id);
  const again = open(t.keys.rotate(rotated.key.id, 30_000).text);
  await t.clock.tick(2_000);
  assert.deepEqual(signals.map(({ aborted }) => aborted), [false, true, false, false]);
  assert.match(String(signals[1]?.reason), /Cannot go on: the key has been revoked/);
  await t.clock.tick(60_000);
  assert.deepEqual(signals.map(({ aborted }) => aborted), [false, true, true, true]);
  assert.equal(again.aborted, false);
  stop.abort("done");
  await watching;
});
