import assert from "node:assert/strict";
import { linesShown } from "../../tools/record/screen.ts";
import {
  bootNewMachine,
  COLUMNS,
  FIRST_COMMANDS,
  openFirstTerminal,
  typeFirst,
} from "../support/first_minutes.ts";

/** By the beginning of a command: what a new user has to see. */
const SEEN: Readonly<Record<string, readonly RegExp[]>> = {
  "./install.sh": [/^Installing \S+ to \/home\/dev\/\.local$/m, /cicd-runner run -- echo hello/],
  "cicd-runner doctor": [/the runner answers/, /^1 warning$|^No problems found$/m],
  "cicd-runner run -p web --limit-memory": [/^3 passed$/m, /^cicd-runner: job \S+ succeeded/m],
  "cicd-runner show": [/^workdir +\/home\/dev\/web$/m, /^limits .*2G memory, 10m time/m],
  "cicd-runner run -p web -- make lint": [/Error 1$/m, / failed \(exit code 2,/, /^exit code 2$/m],
  "cicd-runner run -p web --git": [/^\[setup\] Checked out [0-9a-f]{40} /m, /^3 passed$/m],
  curl: [/^3 passed$/m, /^cicd-result state=succeeded exit_code=0 /m],
  "cicd-runner cancel": [/^job \S+ is being cancelled$/m],
  "cicd-runner jobs": [/ web +(running|cancelled) .* sleep 600$/m],
  "cicd-runner logs": [/^3 passed$/m],
};

Deno.test("the README's first commands work word for word for someone who has read nothing else", async (t) => {
  await using first = await bootNewMachine();
  await using terminal = await openFirstTerminal(first.machine);
  for (const command of FIRST_COMMANDS) {
    await t.step(command.text, async () => {
      const { text } = await typeFirst(terminal, command);
      const found = Object.entries(SEEN).find(([begin]) => command.text.startsWith(begin));
      for (const pattern of found?.[1] ?? []) assert.match(seenIn(text), pattern);
      assert.doesNotMatch(text, /ok cart[^]*checking out/, "what is over is not waited for");
    });
  }

  await t.step("a program leaves the line alone that another has begun", async () => {
    const { text } = await terminal.type("printf 'begun, '; cicd-runner version");
    assert.match(seenIn(text), /^begun, cicd-runner \d/m);
  });
});

/** What is left on the screen. */
function seenIn(text: string): string {
  return linesShown(text, COLUMNS).map((runs) => runs.map((run) => run.text).join("")).join("\n");
}
