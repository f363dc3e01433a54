import assert from "node:assert/strict";
import { changes, jobIdOf } from "@lib/api/client/jobs.ts";
import { answer, bytesOf, fakeRunner, hastyReconnect, jobAnswer, streamOf } from "./_fakes.ts";

const { signal } = new AbortController();
const context = { reconnect: () => hastyReconnect() };

function eventOf(revision: number): Uint8Array {
  return bytesOf(`event: job\nid: ${revision}\ndata: ${JSON.stringify(jobAnswer())}\n\n`);
}

Deno.test("changes() resumes after the last change it reported", async () => {
  const streams = [
    streamOf([eventOf(4), eventOf(6), bytesOf("event: job\nid: 7\nda")], "broken"),
    streamOf([eventOf(7)], "whole"),
    streamOf([eventOf(9)], "whole"),
  ];
  const { runner, sent } = fakeRunner(() => ({
    ...answer(200, ""),
    ...(streams.shift() ?? streamOf([], "whole")),
  }));
  let opens = 0;
  const revisions: string[] = [];
  for await (
    const { revision, job } of changes(context, runner, {
      signal,
      onOpen: () => opens++,
    })
  ) {
    assert.equal(job.project, "web");
    revisions.push(revision);
    if (revision === "9") break;
  }
  assert.deepEqual(revisions, ["4", "6", "7", "9"]);
  assert.deepEqual(
    sent.map(({ headers }) => headers?.["last-event-id"]),
    [undefined, "6", "7"],
  );
  assert.equal(opens, 3);
});

Deno.test("changes() refuses a change without a job", async () => {
  const { runner } = fakeRunner(() => ({
    ...answer(200, ""),
    ...streamOf([bytesOf("event: job\nid: 1\ndata: {}\n\n")], "whole"),
  }));
  await assert.rejects(changes(context, runner, { signal }).next(), { code: "internal" });
});

Deno.test("jobIdOf() says how many jobs there are, in words", async () => {
  const failing = async (text: string, jobs: readonly unknown[]) => {
    const { runner } = fakeRunner(() => answer(200, JSON.stringify({ jobs, next_cursor: null })));
    return await jobIdOf(runner, text, signal).catch(({ message }) => message);
  };
  assert.match(await failing("last", []), /"last": there are no jobs yet$/);
  assert.match(await failing("last~1", [jobAnswer()]), /"last~1": there is only 1 job$/);
  const two = [jobAnswer(), jobAnswer()];
  assert.match(await failing("last~2", two), /"last~2": there are only 2 jobs$/);
});
