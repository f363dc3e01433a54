import assert from "node:assert/strict";
import { BUSYBOX } from "../support/docker_engine.ts";
import { plainContainer, useDockerEngine } from "../support/container_suite.ts";

const docker = useDockerEngine();
const signal = AbortSignal.timeout(300_000);
const LIMIT_BYTES = 32 * 1024 ** 2;

/** Runs a program in a bounded container, and asks for news when the container is over. */
async function heardOf(command: readonly string[]): Promise<boolean> {
  const { client } = docker.engine;
  const limits = { Memory: LIMIT_BYTES, MemorySwap: LIMIT_BYTES };
  const body = plainContainer({ Image: BUSYBOX, Cmd: command }, limits);
  const id = await client.createContainer(`test-${crypto.randomUUID()}`, body, signal);
  await client.startContainer(id, signal);
  await client.waitContainer(id, signal);
  const info = await client.inspectContainer(id, signal);
  assert(info?.finishedAt !== undefined);
  return await client.heardOutOfMemory(id, info.finishedAt + 5_000, signal);
}

/**
 * As {@linkcode heardOf}, for a container that goes on after the kill: Docker loses some kills that
 * come just before the end, because its helper finds the control group gone.
 */
async function heardOfOne(command: readonly string[]): Promise<boolean> {
  for (let tries = 0; tries < 6; tries++) if (await heardOf(command)) return true;
  return false;
}

Deno.test("heardOutOfMemory() distinguishes a kill by the kernel from an exit that looks like one", async () => {
  const [killed, part, exited] = await Promise.all([
    heardOf(["tail", "-c", "200m", "/dev/zero"]),
    heardOfOne(["sh", "-c", "tail -c 200m /dev/zero >/dev/null; exit 3"]),
    heardOf(["sh", "-c", "exit 137"]),
  ]);
  assert.deepEqual({ killed, part, exited }, { killed: true, part: true, exited: false });
});
