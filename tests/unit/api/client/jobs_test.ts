import assert from "node:assert/strict";
import { followEvents } from "@lib/api/client/jobs.ts";
import { bytesOf, hastyReconnect, jobAnswer, streamOf } from "./_fakes.ts";

function eventOf(revision: number): Uint8Array {
  return bytesOf(`event: job\nid: ${revision}\ndata: ${JSON.stringify(jobAnswer())}\n\n`);
}

Deno.test("followEvents() resumes after the last change it told", async () => {
  const opened: (string | undefined)[] = [];
  const streams = [
    streamOf([eventOf(4), eventOf(6), bytesOf("event: job\nid: 7\nda")], "broken"),
    streamOf([eventOf(7)], "whole"),
    streamOf([eventOf(9)], "whole"),
  ];
  let opens = 0;
  const changes = followEvents({
    open(since) {
      opened.push(since);
      return Promise.resolve(streams.shift() ?? streamOf([], "whole"));
    },
    reconnect: hastyReconnect(),
    onOpen: () => opens++,
  });
  const revisions: string[] = [];
  for await (const { revision, job } of changes) {
    assert.equal(job.project, "web");
    revisions.push(revision);
    if (revision === "9") break;
  }
  assert.deepEqual(revisions, ["4", "6", "7", "9"]);
  assert.deepEqual(opened, [undefined, "6", "7"]);
  assert.equal(opens, 3);
});

Deno.test("followEvents() refuses what is no job", async () => {
  const changes = followEvents({
    open: () => Promise.resolve(streamOf([bytesOf("event: job\nid: 1\ndata: {}\n\n")], "whole")),
    reconnect: hastyReconnect(),
  });
  await assert.rejects(changes.next(), { code: "internal" });
});
