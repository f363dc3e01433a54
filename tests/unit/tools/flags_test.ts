import assert from "node:assert/strict";
import { readFlags } from "../../../tools/flags.ts";

const NAMES = {
  switches: ["json", "no-try"],
  values: ["out", "minutes"],
  lists: ["target"],
} as const;

Deno.test("readFlags() reads switches, values, lists and words", () => {
  const args = [
    "--json",
    "--out",
    "a b",
    "--target=x",
    "07",
    "--target",
    "1",
    "--no-try",
    "--",
    "w",
  ];
  const flags = readFlags(args, { ...NAMES, words: true });
  assert.equal(flags.has("json"), true);
  assert.equal(flags.has("no-try"), true);
  assert.equal(flags.has("help"), false);
  assert.equal(flags.value("out"), "a b");
  assert.equal(flags.value("minutes"), undefined);
  assert.deepEqual(flags.list("target"), ["x", "1"]);
  assert.deepEqual(flags.words, ["07", "w"]);
});

Deno.test("readFlags() keeps the text of numbers, and the last of two values", () => {
  const flags = readFlags(["--minutes", "010", "--minutes=1e3"], NAMES);
  assert.equal(flags.value("minutes"), "1e3");
});

Deno.test("readFlags() ignores the dashes that a task passes on", () => {
  assert.equal(readFlags(["--", "--json"], NAMES).has("json"), true);
});

const REFUSED: readonly (readonly [args: readonly string[], message: string])[] = [
  [["--jsn"], 'unknown flag "--jsn"'],
  [["--targets=x"], 'unknown flag "--targets=x"'],
  [["-j"], 'unknown flag "-j"'],
  [["--no-json"], 'unknown flag "--no-json"'],
  [["word"], 'unknown word "word"'],
  [["--out"], "--out needs a value"],
  [["--out="], "--out needs a value"],
  [["--out", "--json"], "--out needs a value"],
  [["--target=x", "--target"], "--target needs a value"],
  [["--json=yes"], "--json takes no value"],
];

for (const [args, message] of REFUSED) {
  Deno.test(`readFlags() refuses ${args.join(" ")}`, () => {
    assert.throws(() => readFlags(args, NAMES), { name: "TypeError", message });
  });
}
