import assert from "node:assert/strict";
import { bootSuite } from "../support/suite_in_machine.ts";

const HOME = "/home/dev";
const UNITS = `${HOME}/.config/systemd/user`;

Deno.test("each connection gets a process of its own where the socket says Accept=yes", async () => {
  await using t = await bootSuite();
  await t.systemctl("disable", "--now", "cicd-runner.service", "cicd-runner.socket");
  await t.write(
    `${UNITS}/cicd-runner.socket.d/per-connection.conf`,
    await Deno.readTextFile("units/examples/per-connection.conf"),
  );
  await t.systemctl("daemon-reload");
  await t.systemctl("start", "cicd-runner.socket");
  const body = JSON.stringify({ project: "web", script: "echo one; echo two; exit 3" });
  const first = await t.curl("/v1/jobs?follow=1", "-d", body);
  assert.match(first.stdout, /^one\ntwo\ncicd-result state=failed exit_code=3 /, first.stderr);
  const second = await t.curl("/v1/jobs");
  assert.equal(JSON.parse(second.stdout).jobs.length, 1);
  assert.equal(await t.show("cicd-runner.service", "ActiveState"), "inactive");
  assert.equal(await t.show("cicd-runner-connections.service", "ActiveState"), "active");
});
