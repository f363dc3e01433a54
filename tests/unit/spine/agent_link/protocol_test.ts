import assert from "node:assert/strict";
import * as fc from "fast-check";
import {
  parseAgentStatus,
  parseAttemptLine,
  parseAttemptOrder,
  parseCancelRequest,
} from "@lib/spine/agent_link/protocol.ts";
import { CicdError } from "@lib/core/errors.ts";
import { anyOutcome, makeOutcome, makeSpec, projectName } from "../../../support/job_fixtures.ts";

/** Returns a value as it arrives over the wire. */
function sent(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value));
}

Deno.test("parseAttemptOrder() returns the order as sent", () => {
  const anyOrder = fc.record({
    argv: fc.array(fc.string({ unit: "binary" }), { minLength: 1, maxLength: 4 }),
    env: fc.dictionary(fc.stringMatching(/^[A-Z]{1,4}$/), fc.string({ unit: "binary" })),
    cpu: fc.double({ min: 0.01, max: 64, noNaN: true }),
    group: fc.string(),
  });
  fc.assert(fc.property(anyOrder, ({ argv, env, cpu, group }) => {
    const order = {
      spec: makeSpec({
        project: projectName("a-b.c"),
        work: { kind: "command", argv },
        env,
        limits: { cpu },
        concurrencyGroup: group,
      }),
      secrets: { TOKEN: "x" },
      bootId: "boot-1",
    };
    assert.deepEqual(sent(parseAttemptOrder(sent(order))), sent(order));
  }));
});

Deno.test("parseAttemptLine() returns every outcome as sent", () => {
  fc.assert(fc.property(anyOutcome, (outcome) => {
    const line = { kind: "ended", outcome };
    assert.deepEqual(sent(parseAttemptLine(sent(line))), sent(line));
  }));
});

Deno.test("the protocol understands a later release, which may have added fields", () => {
  const outcome = makeOutcome();
  const line = sent({ kind: "ended", outcome: { ...outcome, later: 1 }, later: 2 });
  assert.deepEqual(parseAttemptLine(line), { kind: "ended", outcome });
  const order = { spec: makeSpec(), secrets: {}, bootId: "b" };
  assert.deepEqual(parseAttemptOrder(sent({ ...order, later: {} })), order);
  const cancel = { reason: "superseded", by: "by job 7" } as const;
  assert.deepEqual(parseCancelRequest({ ...cancel, later: 1 }), cancel);
});

Deno.test("parseAgentStatus() reads a status with no limits", () => {
  const status = {
    project: "web",
    version: "1.0.0",
    pid: 7,
    started_at: 5,
    executor: "direct",
    attempts: [],
    limits: {},
    usage: {},
  };
  assert.deepEqual(parseAgentStatus(status), status);
});

Deno.test("parseAttemptOrder() reports the field at fault and quotes no secret", () => {
  const order = { spec: makeSpec(), secrets: { TOKEN: ["hunter2"] }, bootId: "b" };
  assert.throws(() => parseAttemptOrder(order), (error) => {
    assert(error instanceof CicdError && error.code === "invalid_request");
    assert.equal(error.issues[0]?.path, "secrets.TOKEN");
    assert.doesNotMatch(JSON.stringify([error.message, error.issues]), /hunter2/);
    return true;
  });
});

Deno.test("the protocol refuses anything else with invalid_request, never with another throw", () => {
  fc.assert(fc.property(fc.jsonValue(), (value) => {
    for (const parse of [parseAttemptOrder, parseCancelRequest]) {
      assert.throws(() => parse(value), CicdError);
    }
  }));
});
