import assert from "node:assert/strict";
import { wakeAgent } from "../../../cmd/runner/waking_request.ts";

const HEAD = "POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\n\r\n";
const SOCKET = { fd: 3, name: "http", isUnix: true };

/** Has a client wait that has sent `request`; nothing may be connected to in these tests. */
function look(request: string | Uint8Array<ArrayBuffer>) {
  const sent = typeof request === "string" ? new TextEncoder().encode(request) : request;
  const platform = { listenFds: [SOCKET], acceptWaiting: () => ({ fd: 9, sent }) };
  return wakeAgent(platform, "/run/user/1");
}

const projectOf = (request: string | Uint8Array<ArrayBuffer>) => look(request).woken;

Deno.test("wakeAgent() wakes the agent of the project that a job is for", () => {
  assert.equal(projectOf(`${HEAD}{"project":"web","command":["true"]}`), "web");
  assert.equal(projectOf(`${HEAD.replace("jobs", "jobs?follow=1")}{"project":"web"}`), "web");
});

Deno.test("wakeAgent() wakes none for another request, nor for a name that is no project's", () => {
  const others = [
    "",
    HEAD,
    "GET /v1/jobs HTTP/1.1\r\n\r\n",
    `${HEAD.replace("jobs", "jobs/1/cancel")}{"project":"web"}`,
    `${HEAD}{"project":"web"`,
    `${HEAD}{"project":["web"]}`,
    `${HEAD}{"project":"../web"}`,
    `${HEAD}{"project":"we/b"}`,
    `${HEAD}{"env":{"project":"web"}}`,
    `${HEAD}null`,
    `${HEAD}"project"`,
    "POST /v1/jobs HTTP/1.1\r\nHost: localhost",
  ];
  for (const text of others) assert.equal(projectOf(text), undefined, text);
  assert.equal(projectOf(new Uint8Array([0xff, 0xfe])), undefined);
});

Deno.test("wakeAgent() hands the accepted connection over, once", () => {
  const [socket] = look("GET / HTTP/1.1\r\n\r\n").sockets;
  assert.equal(socket?.takeAccepted?.(), 9);
  assert.equal(socket.takeAccepted(), undefined);
});

Deno.test("wakeAgent() leaves sockets alone at which nobody waits, and those of a network", () => {
  const listenFds = [SOCKET];
  assert.deepEqual(wakeAgent({ listenFds, acceptWaiting: () => undefined }, undefined), {
    sockets: listenFds,
  });
  const remote = [{ ...SOCKET, isUnix: false }];
  const acceptWaiting = () => assert.fail("a network's client was accepted");
  assert.deepEqual(wakeAgent({ listenFds: remote, acceptWaiting }, undefined), { sockets: remote });
});
