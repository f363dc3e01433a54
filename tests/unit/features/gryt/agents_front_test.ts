import assert from "node:assert/strict";
import { AgentsFront, type ForwardResult } from "@lib/features/gryt/agents_front.ts";
import type { OutgoingResult } from "@lib/features/gryt/outgoing.ts";
import { Secret } from "@lib/foundations/secrets/secret.ts";
import { FakeClock } from "../../../support/fake_clock.ts";
import { answered, fakeNetwork } from "./_fakes.ts";

const agents = ["http://a:8080", "http://b:8080", "http://c:8080"];
const healthy = answered(200, { status: "healthy", docker_available: true });

function setup(execute: (agent: string) => OutgoingResult, health = (_: string) => healthy) {
  const clock = new FakeClock();
  const network = fakeNetwork(({ url }) =>
    url.pathname === "/health" ? health(url.hostname) : execute(url.hostname)
  );
  const front = new AgentsFront({ send: network.send, clock });
  return {
    clock,
    ...network,
    posts: () =>
      network.sent.filter(({ method }) => method === "POST").map(({ url }) => url.hostname),
    forward: (grytId: number): Promise<ForwardResult> =>
      front.forward({
        agents,
        grytId,
        body: new Uint8Array(),
        apiKey: new Secret("k"),
        timeoutMs: 1_000,
        maxAnswerBytes: 1_000,
      }, new AbortController().signal),
  };
}

Deno.test("AgentsFront gives jobs to the agents in turn and passes the answer on", async () => {
  const t = setup(() => answered(200, { success: true }));
  for (const id of [1, 2, 3, 4]) assert.equal((await t.forward(id)).kind, "answered");
  assert.deepEqual(t.posts(), ["a", "b", "c", "a"]);
  assert.equal(t.sent.find(({ method }) => method === "POST")?.headers["x-gryt-forwarded"], "1");
});

Deno.test("AgentsFront moves to the next agent only if none has the job", async () => {
  const t = setup((agent) =>
    agent === "a"
      ? { kind: "unreachable", why: "refused" }
      : agent === "b"
      ? answered(503)
      : answered(500)
  );
  const result = await t.forward(1);
  assert(result.kind === "answered");
  assert.equal(result.status, 500);
  assert.deepEqual(t.posts(), ["a", "b", "c"]);
  assert.equal((await t.forward(2)).kind, "answered");
  assert.equal(t.posts().filter((agent) => agent === "a").length, 1);
});

Deno.test("AgentsFront never gives a job to a second agent after a connection broke", async () => {
  const t = setup(() => ({ kind: "broken", why: "reset" }));
  assert.deepEqual(await t.forward(1), { kind: "lost", agent: "http://a:8080", why: "reset" });
  assert.equal((await t.forward(1)).kind, "lost");
  assert.deepEqual(t.posts(), ["a", "a"]);
});

Deno.test("AgentsFront sends a repeated request to the agent that may run the job, or to none", async () => {
  let answer: OutgoingResult = { kind: "broken", why: "reset" };
  const t = setup(() => answer);
  await t.forward(1);
  answer = { kind: "unreachable", why: "refused" };
  assert.equal((await t.forward(1)).kind, "lost");
  answer = answered(200);
  assert.equal((await t.forward(1)).kind, "answered");
  assert.deepEqual(t.posts(), ["a", "a", "a"]);
});

Deno.test("AgentsFront leaves out agents that are not well, and looks at them again later", async () => {
  let status = "degraded";
  const t = setup(() => answered(200), () => answered(200, { status }));
  assert.deepEqual(await t.forward(1), { kind: "nobody" });
  status = "healthy";
  assert.deepEqual(await t.forward(2), { kind: "nobody" });
  await t.clock.tick(10_000);
  assert.equal((await t.forward(3)).kind, "answered");
});
