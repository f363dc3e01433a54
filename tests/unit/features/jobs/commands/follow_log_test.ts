import assert from "node:assert/strict";
import fc from "fast-check";
import { CicdError } from "@lib/core/errors.ts";
import { followLog, type FollowPort } from "@lib/features/jobs/commands/follow_log.ts";
import { stampedCounter } from "@lib/features/jobs/commands/follow_log.ts";
import {
  bytesOf,
  hastyReconnect,
  jobAnswer,
  lost,
  streamOf,
  textOf,
} from "../../../api/client/_fakes.ts";

/** The course of one connection: how much it gives, in chunks of which size, and how it ends. */
interface Connection {
  readonly bytes: number;
  readonly piece: number;
  readonly end: "whole" | "broken";
}

const STAMP = "2026-01-02T03:04:05.678Z ";

/** A log behind connections that break as told; those after the last one hold. */
function setup(log: Uint8Array, connections: readonly Connection[], stamped = false) {
  const left = [...connections];
  const offsets: number[] = [];
  const ended = jobAnswer({ exit_code: 7, state: "failed" });
  const port: FollowPort = {
    follow(offset) {
      offsets.push(offset);
      const raw = log.subarray(offset);
      const seen = stamped ? stampedFrom(log, offset) : raw;
      const { bytes, piece, end } = left.shift() ?? { bytes: Infinity, piece: 7, end: "whole" };
      return Promise.resolve(streamOf(pieces(seen.subarray(0, bytes), piece), end));
    },
    rest(offset) {
      const raw = log.subarray(offset);
      if (raw.length === 0) return Promise.resolve(undefined);
      const seen = stamped ? stampedFrom(log, offset) : raw;
      return Promise.resolve(streamOf([seen], "whole"));
    },
    // The job runs on while connections are still to break.
    job: () => Promise.resolve(left.length > 0 ? jobAnswer({ state: "running" }) : ended),
  };
  return { port, offsets, ended };
}

function pieces(bytes: Uint8Array, size: number): Uint8Array[] {
  const all: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += size) all.push(bytes.subarray(at, at + size));
  return all;
}

/** As the runner stamps: before each line, but not within one. */
function stampedFrom(log: Uint8Array, offset: number): Uint8Array {
  const text = textOf([log.subarray(offset)]);
  const begins = offset === 0 || log[offset - 1] === 10;
  const stamped = text.replace(/\n(?=.)/gs, `\n${STAMP}`);
  return bytesOf(begins && text !== "" ? STAMP + stamped : stamped);
}

const connections = fc.array(
  fc.record({
    bytes: fc.nat(60),
    piece: fc.integer({ min: 1, max: 9 }),
    end: fc.constantFrom("whole" as const, "broken" as const),
  }),
  { maxLength: 8 },
);

Deno.test("followLog() writes every byte once, however the connection breaks", async () => {
  await fc.assert(fc.asyncProperty(
    fc.uint8Array({ maxLength: 200 }),
    connections,
    async (log, breaks) => {
      const { port } = setup(log, breaks);
      const written: Uint8Array[] = [];
      await followLog({
        port,
        reconnect: hastyReconnect(),
        write: (bytes) => Promise.resolve(void written.push(bytes.slice())),
      });
      assert.deepEqual(
        Uint8Array.from(written.flatMap((piece) => [...piece])),
        Uint8Array.from(log),
      );
    },
  ));
});

Deno.test("followLog() writes every stamped line once, also when a stamp is cut", async () => {
  const lines = fc.array(fc.stringMatching(/^[a-z ]{0,12}$/), { maxLength: 8 });
  await fc.assert(fc.asyncProperty(lines, connections, fc.nat(20), async (text, breaks, start) => {
    const log = bytesOf(text.join("\n"));
    const from = Math.min(start, log.length);
    const { port } = setup(log, breaks, true);
    const written: Uint8Array[] = [];
    await followLog({
      port,
      reconnect: hastyReconnect(),
      from,
      counter: stampedCounter(),
      write: (bytes) => Promise.resolve(void written.push(bytes.slice())),
    });
    assert.equal(textOf(written), textOf([stampedFrom(log, from)]));
  }));
});

Deno.test("followLog() begins at the given offset and resumes after what it has", async () => {
  const { port, offsets, ended } = setup(bytesOf("0123456789"), [
    { bytes: 3, piece: 3, end: "broken" },
    { bytes: 2, piece: 1, end: "whole" },
    { bytes: 1, piece: 1, end: "whole" },
  ]);
  const notes: string[] = [];
  const written: Uint8Array[] = [];
  const job = await followLog({
    port,
    from: 2,
    reconnect: hastyReconnect(notes),
    write: (bytes) => Promise.resolve(void written.push(bytes)),
  });
  assert.deepEqual(offsets, [2, 5, 7]);
  assert.equal(textOf(written), "23456789");
  assert.equal(job, ended);
  assert.deepEqual(notes, ["lost", "found", "lost", "found"]);
});

Deno.test("followLog() does not treat the end of a stream as the end of the log", async () => {
  const log = bytesOf("all of it");
  let isCut = true;
  const port: FollowPort = {
    follow: (offset) => Promise.resolve(streamOf([log.subarray(offset, 3)], "whole")),
    rest(offset) {
      if (offset >= log.length) return Promise.resolve(undefined);
      const end = isCut ? 6 : log.length;
      isCut = false;
      return Promise.resolve(streamOf([log.subarray(offset, end)], "whole"));
    },
    job: () => Promise.resolve(jobAnswer()),
  };
  const written: Uint8Array[] = [];
  await followLog({
    port,
    reconnect: hastyReconnect(),
    write: (bytes) => Promise.resolve(void written.push(bytes.slice())),
  });
  assert.equal(textOf(written), "all of it");
});

Deno.test("followLog() does not take a failure to write for a broken connection", async () => {
  const { port, offsets } = setup(bytesOf("text"), []);
  const write = () => Promise.reject(new Error("nobody reads"));
  await assert.rejects(followLog({ port, reconnect: hastyReconnect(), write }), /nobody reads/);
  assert.deepEqual(offsets, [0]);
});

Deno.test("followLog() passes on what the runner refuses", async () => {
  const port: FollowPort = {
    follow: () => Promise.reject(new CicdError("job_not_found", "There is none")),
    rest: () => Promise.reject(lost()),
    job: () => Promise.reject(lost()),
  };
  await assert.rejects(
    followLog({ port, reconnect: hastyReconnect(), write: () => Promise.resolve() }),
    { code: "job_not_found" },
  );
});

Deno.test("followLog() gives up when the runner stays away", async () => {
  const port: FollowPort = {
    follow: () => Promise.reject(lost()),
    rest: () => Promise.reject(lost()),
    job: () => Promise.reject(lost()),
  };
  await assert.rejects(
    followLog({ port, reconnect: hastyReconnect(), write: () => Promise.resolve() }),
    { code: "runner_unavailable" },
  );
});
