import assert from "node:assert/strict";
import { raceAbort } from "@lib/core/abort.ts";
import { downloadText } from "@lib/features/install/upgrade/download.ts";

Deno.test("downloadText() leaves no request to a server that never answers", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  const signal = AbortSignal.timeout(30_000);
  const url = `http://127.0.0.1:${port}/checksums.txt`;
  const accepted = listener.accept();
  await assert.rejects(downloadText(url, { maxBytes: 100, answerMs: 50, signal }), {
    code: "deadline_exceeded",
  });
  // In case that it was given up before it was connected.
  (await Deno.connect({ port })).close();
  using connection = await accepted;
  // A program with an open request does not end.
  const bytes = new Uint8Array(4_096);
  while (await raceAbort(connection.read(bytes), signal) !== null);
});
