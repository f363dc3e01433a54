/**
 * Fakes for the tests of the client.
 *
 * @module
 */
import assert from "node:assert/strict";
import { parseAsync } from "@optique/core/parser";
import type { Command } from "@lib/api/client/command.ts";
import type { CliContext } from "@lib/api/client/context.ts";
import { painter } from "@lib/api/client/format.ts";
import type { JobAnswer } from "@lib/api/client/jobs.ts";
import { Reconnect } from "@lib/api/client/reconnect.ts";
import {
  type ByteStream,
  ConnectionLostError,
  RunnerTransport,
} from "@lib/api/client/transport.ts";
import type { UnixRequest, UnixResponse } from "@lib/foundations/http/unix_client.ts";
import type { Clock } from "@lib/core/clock.ts";

/** A job as the runner answers with it. */
export function jobAnswer(overrides: Partial<JobAnswer> = {}): JobAnswer {
  return {
    id: "0192f3a4-0000-7000-8000-000000000001",
    project: "web",
    state: "succeeded",
    reason: "exit_code",
    message: null,
    exit_code: 0,
    signal: null,
    attempt: 1,
    created_at: "2026-01-01T00:00:00.000Z",
    started_at: "2026-01-01T00:00:01.000Z",
    finished_at: "2026-01-01T00:00:03.000Z",
    cancelling: false,
    usage: {
      cpu_seconds: 1.5,
      memory_peak_bytes: 1024 * 1024,
      wall_seconds: 2,
      cpu_throttled_seconds: null,
      containment: null,
    },
    limits: {
      cpu: null,
      memory_bytes: null,
      tasks: null,
      timeout_seconds: 3600,
      grace_seconds: 10,
    },
    spec: { command: ["make", "test"] },
    ...overrides,
  };
}

/** A clock whose sleeps are over at once; its time moves by what was slept. */
export function hastyClock(): Clock {
  let now = 0;
  return {
    now: () => now,
    sleep(ms, { signal } = {}) {
      if (signal?.aborted) return Promise.reject(signal.reason);
      now += ms;
      return Promise.resolve();
    },
  };
}

/** A policy that never waits. */
export function hastyReconnect(notes: string[] = []): Reconnect {
  return new Reconnect({
    clock: hastyClock(),
    signal: new AbortController().signal,
    onLost: () => notes.push("lost"),
    onFound: () => notes.push("found"),
  });
}

/** The loss of a connection. */
export function lost(): ConnectionLostError {
  return new ConnectionLostError("The connection broke", { isListening: true });
}

/** A body of chunks; breaks after the last one if it is told to. */
export function streamOf(chunks: readonly Uint8Array[], end: "whole" | "broken"): ByteStream {
  return {
    body: (async function* () {
      await Promise.resolve();
      yield* chunks;
      if (end === "broken") throw lost();
    })(),
    [Symbol.dispose]() {},
  };
}

/** UTF-8 bytes of a text. */
export function bytesOf(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** The text of all pieces together. */
export function textOf(pieces: readonly Uint8Array[]): string {
  const decoder = new TextDecoder();
  return pieces.map((piece) => decoder.decode(piece, { stream: true })).join("") + decoder.decode();
}

/** An answer of the runner: a text, or what becomes JSON. */
export function answer(
  status: number,
  value: unknown,
  headers: Readonly<Record<string, string>> = {},
): UnixResponse {
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return {
    ...streamOf([bytesOf(text)], "whole"),
    status,
    headers,
    text: () => Promise.resolve(text),
  };
}

/** A runner whose answers `send` makes. */
export function fakeRunner(
  send: (request: UnixRequest) => UnixResponse | Promise<UnixResponse>,
  options: { readonly answerWithinMs?: number } = {},
) {
  const sent: UnixRequest[] = [];
  const runner = new RunnerTransport({
    ...options,
    socketPath: "/run/user/1000/cicd-runner.sock",
    sender: {
      target: { at: { socketPath: "/run/cicd-runner.sock" } },
      send: async (request) => {
        sent.push(request);
        return await send(request);
      },
      [Symbol.dispose]() {},
    },
  });
  return { sent, runner };
}

/** Runs a command against a fake runner at a given time, and returns the lines it prints. */
export async function printedBy(
  command: Command,
  args: readonly string[],
  means: { readonly runner: RunnerTransport; readonly now: number },
): Promise<readonly string[]> {
  const nothing = () => Promise.resolve([]);
  const parser = command.parser({ jobIds: nothing, projects: nothing });
  const parsed = await parseAsync(parser, [command.name, ...args]);
  assert.ok(parsed.success);
  const { exitCode, lines } = await doneBy(parsed.value.run, means);
  assert.equal(exitCode, 0);
  return lines;
}

/** Runs an action against a fake runner at a given time. */
export async function doneBy(
  action: (context: CliContext) => Promise<number>,
  { runner, now }: { readonly runner: RunnerTransport; readonly now: number },
) {
  const lines: string[] = [];
  const unused = () => Promise.reject(new Error("This is not needed here"));
  const exitCode = await action({
    flags: { socket: undefined, url: undefined, config: undefined, json: false },
    env: {},
    out: {
      isTerminal: false,
      isColoured: false,
      size: () => undefined,
      write: (bytes) => Promise.resolve(void lines.push(textOf([bytes]))),
      line: (text) => Promise.resolve(void lines.push(text)),
      json: unused,
      note: (text) => void lines.push(text),
      failed: ({ message }) => void lines.push(message),
      isLively: false,
      progress: (text) => text === undefined ? undefined : void lines.push(text),
    },
    paint: painter(false),
    clock: { ...hastyClock(), now: () => now },
    signal: new AbortController().signal,
    sections: unused,
    readConfig: unused,
    connect: () => Promise.resolve(runner),
    reconnect: () => hastyReconnect(),
  });
  return { exitCode, lines };
}
