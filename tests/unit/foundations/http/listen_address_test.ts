import assert from "node:assert/strict";
import { isLoopback, parseListenAddress } from "@lib/foundations/http/listen_address.ts";

for (
  const [text, host, port] of [
    ["8080", "127.0.0.1", 8080],
    [":8080", "127.0.0.1", 8080],
    ["0.0.0.0:1", "0.0.0.0", 1],
    ["[::1]:65535", "::1", 65_535],
    ["[::]:443", "::", 443],
    ["ci.example.org:8443", "ci.example.org", 8443],
  ] as const
) {
  Deno.test(`parseListenAddress() reads ${text}`, () => {
    assert.deepEqual(parseListenAddress(text), { host, port });
  });
}

for (const text of ["", "0", "65536", "host", "host:", "::1:80", "[host]:80", "[]:80", "a b:80x"]) {
  Deno.test(`parseListenAddress() refuses ${JSON.stringify(text)} and says how to write it`, () => {
    assert.throws(() => parseListenAddress(text), /give listen\.address as HOST:PORT/);
  });
}

for (
  const [host, expected] of [
    ["127.0.0.1", true],
    ["127.255.0.9", true],
    ["::1", true],
    ["0:0:0:0:0:0:0:1", true],
    ["::ffff:127.0.0.1", true],
    ["localhost", true],
    ["0.0.0.0", false],
    ["::", false],
    ["192.0.2.1", false],
    ["128.0.0.1", false],
    ["2001:db8::1", false],
    ["127.example.org", false],
    ["localhost.example.org", false],
  ] as const
) {
  Deno.test(`isLoopback() says ${expected} of ${host}`, () => {
    assert.equal(isLoopback(host), expected);
  });
}
