import assert from "node:assert/strict";
import * as fc from "fast-check";
import { parseEnvrc } from "@lib/features/gryt/envrc.ts";

const all = { path: "/etc/gryt/.envrc", wanted: () => true };

function read(text: string): Record<string, string> {
  return Object.fromEntries(parseEnvrc(text, all));
}

Deno.test("parseEnvrc() reads export lines, plain ones, quotes and comments", () => {
  const text = `# Gryt
export AGENT_API_KEY="a key"
GRYT_DOCKER_IMAGE=registry.example.org/pipeline:1 # ours
  export AGENT_HOST='0.0.0.0'

export AGENT_PORT=8081\r
export EMPTY=
export MIXED=a"b c"'d'\\ e
export ESCAPED="say \\"hi\\" for \\$5"
`;
  assert.deepEqual(read(text), {
    AGENT_API_KEY: "a key",
    GRYT_DOCKER_IMAGE: "registry.example.org/pipeline:1",
    AGENT_HOST: "0.0.0.0",
    AGENT_PORT: "8081",
    EMPTY: "",
    MIXED: "ab cd e",
    ESCAPED: 'say "hi" for $5',
  });
});

Deno.test("parseEnvrc() gives the last of two values, as a shell does", () => {
  assert.deepEqual(read("A=1\nA=2"), { A: "2" });
});

Deno.test("parseEnvrc() refuses what a shell would run, with the line and without the value", () => {
  const cases = {
    "A=1\nexport B=$(cat /etc/shadow)": /envrc:2: the value of B contains a '\$'/,
    'export A="`id`"': /envrc:1: the value of A/,
    'export A="$HOME/key"': /envrc:1/,
    "export A=b;rm -rf /": /contains ';'/,
    "A=b c": /is followed by more/,
    'A="b': /not closed/,
    "A=b\\": /continues in the next line/,
    "\nlayout python": /envrc:2: it is not of the form/,
    "export": /envrc:1/,
  };
  for (const [text, message] of Object.entries(cases)) {
    assert.throws(() => read(text), message, text);
  }
  assert.throws(() => read("A=hunter2 hunter3"), (error) => !String(error).includes("hunter"));
});

Deno.test("parseEnvrc() does not look at variables that nobody wants", () => {
  const wanted = (name: string) => name === "AGENT_PORT";
  const text = 'export PATH="$HOME/bin:$PATH"\nexport AGENT_PORT=1';
  assert.deepEqual([...parseEnvrc(text, { path: "x", wanted })], [["AGENT_PORT", "1"]]);
});

Deno.test("parseEnvrc() reads any value in single quotes as it stands", () => {
  fc.assert(fc.property(fc.string().filter((text) => !/['\r\n]/.test(text)), (value) => {
    assert.deepEqual(read(`export A='${value}'`), { A: value });
  }));
});
