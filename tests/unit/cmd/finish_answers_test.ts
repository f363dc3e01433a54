import assert from "node:assert/strict";
import { ignore } from "@lib/core/errors.ts";
import {
  type AnswersUnderWay,
  finishAnswers,
  leaveLinks,
} from "../../../cmd/runner/finish_answers.ts";

/** A runner with these results, in turn. */
function runner(results: readonly (readonly ["drained" | "answered", boolean | "late"])[]) {
  const left = [...results];
  const next = (name: keyof AnswersUnderWay) => () => {
    const [wanted, result] = left.shift() ?? [];
    assert.equal(name, wanted);
    return result === "late" ? Promise.reject(new Error("late")) : Promise.resolve(result === true);
  };
  const drained = next("drained");
  return {
    drained: () => drained().then(ignore("nothing to return")),
    answered: next("answered"),
    [Symbol.dispose]: () => assert.deepEqual(left, []),
  };
}

Deno.test("finishAnswers() ends when no request is left, and nothing else is owed", async () => {
  using quiet = runner([["drained", true], ["answered", false]]);
  await finishAnswers(quiet);
});

Deno.test("finishAnswers() waits for jobs of requests that arrived meanwhile", async () => {
  using busy = runner([
    ["drained", "late"],
    ["answered", true],
    ["drained", "late"],
    ["answered", true],
    ["drained", true],
    ["answered", false],
  ]);
  await finishAnswers(busy);
});

Deno.test("finishAnswers() gives up clients that do not read, and jobs that take too long", async () => {
  using stuck = runner([["drained", "late"], ["answered", false]]);
  await finishAnswers(stuck);
  using long = runner([["drained", "late"], ["answered", "late"]]);
  await finishAnswers(long);
});

Deno.test("leaveLinks() ends though a link cannot be ended in order", async () => {
  await leaveLinks(() => Promise.reject(new Error("the console is gone")));
});
