import assert from "node:assert/strict";
import { request as httpRequest } from "node:http";
import { Duplex } from "node:stream";
import { exchange } from "@lib/foundations/http/unix_client.ts";

Deno.test("exchange() sends header and body in one segment", async () => {
  const segments: string[] = [];
  const connection = new Duplex({
    read() {},
    write(chunk: Uint8Array, _encoding, done) {
      if (chunk.length > 0) segments.push(new TextDecoder().decode(chunk));
      this.push("HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok");
      done();
    },
  });
  const body = '{"text":"ü"}';
  const { signal } = new AbortController();
  using response = await exchange(
    { method: "PUT", path: "/x", body, signal },
    "a test",
    (options) => httpRequest({ ...options, createConnection: () => connection }),
  );
  assert.equal(await response.text(), "ok");
  assert.equal(segments.length, 1, segments.join("|"));
  assert.match(segments[0] ?? "", /^PUT \/x [^]*content-length: 13\r\n[^]*\r\n\r\n\{"text":"ü"\}$/);
});
