import assert from "node:assert/strict";
import { quickCompletion } from "../../cmd/runner/quick_completion.ts";
import { completeWords, loadCommands } from "../../cmd/runner/commands/cli.ts";

const ID = "0192f3a4-0000-7000-8000-000000000001";
const completer = {
  jobIds: () => Promise.resolve([{ value: ID, description: "web failed" }]),
  projects: () => Promise.resolve(["web", "api"].map((value) => ({ value, description: "idle" }))),
};
const PREFIXES = ["", "--", "-", "r", "--p", "w", "0192", "zz"];

/** Lines that only the grammar can complete. */
const OTHERS = [
  ["bash"],
  ["nu", "show", ""],
  ["bash", "nonsense", ""],
  ["bash", "show -p", ""],
  ["bash", "show", ID, ""],
  ["bash", "run", "-p", "web", ""],
  ["bash", "run", "-p", "--"],
  ["bash", "run", "--output", ""],
  ["bash", "run", "-d"],
  ["bash", "help", ""],
];

Deno.test("a completion without the grammar is what the grammar makes of it", async () => {
  const commands = await loadCommands();
  const byGrammar = (words: readonly string[]) => completeWords(words, { commands, completer });
  const places = [[], ["run", "-p"], ["drain", "--project"], ...commands.map(({ name }) => [name])];
  for (const place of places) {
    for (const prefix of PREFIXES) {
      // One shell is as good as another for all but the format.
      for (const shell of place[0] === "show" ? ["bash", "zsh", "fish"] : ["zsh"]) {
        const words = [shell, ...place, prefix];
        const text = await quickCompletion(words, () => completer);
        if (text === undefined && place.length === 2) continue;
        assert.equal(text, await byGrammar(words), JSON.stringify(words));
      }
    }
  }
});

Deno.test("a completion of another place is left to the grammar", async () => {
  for (const words of OTHERS) {
    assert.equal(await quickCompletion(words, () => completer), undefined, words.join(" "));
  }
  assert.equal(await quickCompletion(["bash", "show", ""], () => undefined), undefined);
});
