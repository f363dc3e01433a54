import assert from "node:assert/strict";
import { isPublicAddress, judgeCallback } from "@lib/features/gryt/callback_target.ts";

Deno.test("judgeCallback() allows http and https without credentials", () => {
  const kindOf = (text: string, prefixes: string[] = []) => judgeCallback(text, prefixes).kind;
  assert.equal(kindOf("https://ci.example.org/hook?x=1"), "allowed");
  for (
    const text of ["", "ftp://a/", "file:///etc/passwd", "javascript:1", "https://u:p@a/", "//a"]
  ) {
    assert.equal(kindOf(text), "refused", text);
  }
});

Deno.test("judgeCallback() compares with the configuration as addresses, not as text", () => {
  const prefixes = ["https://ci.example.org/hooks", "http://10.0.0.5:8000"];
  const trusted = (text: string) => {
    const target = judgeCallback(text, prefixes);
    return target.kind === "allowed" && target.trusted;
  };
  assert.equal(trusted("https://ci.example.org/hooks"), true);
  assert.equal(trusted("https://ci.example.org/hooks/7"), true);
  assert.equal(trusted("http://10.0.0.5:8000/x"), true);
  const others = [
    "https://ci.example.org.evil.example/hooks",
    "https://ci.example.org/hooks-of-others",
    "https://ci.example.org/hooks/../admin",
    "http://ci.example.org/hooks",
    "https://ci.example.org:444/hooks",
    "http://10.0.0.5:80000/x",
  ];
  for (const text of others) assert.equal(trusted(text), false, text);
});

Deno.test("isPublicAddress() knows this machine, its networks and their disguises", () => {
  for (const address of ["1.1.1.1", "93.184.215.14", "172.32.0.1", "2606:4700::1111"]) {
    assert.equal(isPublicAddress(address), true, address);
  }
  const own = [
    "0.0.0.0",
    "10.1.2.3",
    "100.64.0.1",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "198.19.0.1",
    "224.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:1.1.1.1",
    "64:ff9b::7f00:1",
    "fe80::1",
    "fe80::1%eth0",
    "fd00::1",
    "ff02::1",
    "2001::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "example.org",
    "",
  ];
  for (const address of own) assert.equal(isPublicAddress(address), false, address);
});
