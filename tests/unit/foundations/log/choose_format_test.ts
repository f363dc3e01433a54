import assert from "node:assert/strict";
import {
  chooseColour,
  chooseFormat,
  type FormatSituation,
} from "@lib/foundations/log/choose_format.ts";

function chosen(situation: Partial<FormatSituation>) {
  return chooseFormat({
    format: "auto",
    hasJournal: true,
    isTerminal: false,
    env: {},
    ...situation,
  });
}

Deno.test("chooseFormat() takes the journal where stderr leads to it", () => {
  const env = { JOURNAL_STREAM: "8:1234" };
  assert.equal(chosen({ env }), "journal");
  assert.equal(chosen({ env, hasJournal: false }), "prefixed");
  assert.equal(chosen({ env, isTerminal: true }), "text");
  assert.equal(chosen({}), "text");
});

Deno.test("chooseFormat() follows an explicit choice", () => {
  assert.equal(chosen({ format: "json" }), "json");
  assert.equal(chosen({ format: "text", env: { JOURNAL_STREAM: "8:1" } }), "text");
  assert.equal(chosen({ format: "journal" }), "journal");
  assert.equal(chosen({ format: "journal", hasJournal: false }), "prefixed");
});

Deno.test("chooseColour() asks FORCE_COLOR, then NO_COLOR, then the terminal", () => {
  const colour = (isTerminal: boolean, env: Record<string, string>) =>
    chooseColour({ isTerminal, env });
  assert.equal(colour(true, {}), true);
  assert.equal(colour(false, {}), false);
  assert.equal(colour(true, { NO_COLOR: "1" }), false);
  assert.equal(colour(false, { NO_COLOR: "1", FORCE_COLOR: "1" }), true);
  assert.equal(colour(true, { FORCE_COLOR: "0" }), false);
  assert.equal(colour(true, { TERM: "dumb" }), false);
});
