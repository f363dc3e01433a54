import assert from "node:assert/strict";
import { raceAbort } from "@lib/core/abort.ts";
import { readLogStream } from "@lib/foundations/docker/raw_answer.ts";

Deno.test("readLogStream() ends when it is aborted before the engine took the connection", async () => {
  await using directory = await temporaryDirectory();
  const path = `${directory.path}/engine.sock`;
  // Takes connections and never answers.
  using _engine = Deno.listen({ transport: "unix", path });
  const stop = new AbortController();
  const reading = readLogStream({ kind: "unix", path }, {
    container: "any",
    follow: true,
    signal: stop.signal,
  });
  const first = reading.next();
  stop.abort(new DOMException("Enough", "AbortError"));
  await assert.rejects(raceAbort(first, AbortSignal.timeout(10_000)), /Enough/);
});

async function temporaryDirectory() {
  const path = await Deno.makeTempDir();
  return { path, [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }) };
}
