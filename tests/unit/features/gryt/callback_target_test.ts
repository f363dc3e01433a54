import assert from "node:assert/strict";
import { checkCallback } from "@lib/features/gryt/callback_target.ts";

Deno.test("checkCallback() allows http and https without credentials", () => {
  const kindOf = (text: string, prefixes: string[] = []) => checkCallback(text, prefixes).kind;
  assert.equal(kindOf("https://ci.example.org/hook?x=1"), "allowed");
  for (
    const text of ["", "ftp://a/", "file:///etc/passwd", "javascript:1", "https://u:p@a/", "//a"]
  ) {
    assert.equal(kindOf(text), "refused", text);
  }
});

Deno.test("checkCallback() compares with the configuration as addresses, not as text", () => {
  const prefixes = ["https://ci.example.org/hooks", "http://10.0.0.5:8000"];
  const trusted = (text: string) => {
    const target = checkCallback(text, prefixes);
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
