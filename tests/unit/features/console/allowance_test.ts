import assert from "node:assert/strict";
import { parseProjectName } from "@lib/core/ids.ts";
import type { AllowRules } from "@lib/features/console/allow_keys.ts";
import {
  checkAllowed,
  type ConsoleRequest,
  lineOf,
  type RequestedFor,
} from "@lib/features/console/allowance.ts";

const NOTHING: AllowRules = { terminals: false, commands: [], scripts: false, projects: [] };
const ALL: AllowRules = {
  terminals: true,
  commands: ["*"],
  scripts: true,
  projects: ["web", "api"].map((name) => {
    const project = parseProjectName(name);
    assert.ok(project);
    return project;
  }),
};

function check(
  request: ConsoleRequest,
  rules: AllowRules,
  requestedFor: RequestedFor = {},
): string {
  const verdict = checkAllowed(request, requestedFor, rules);
  return verdict.kind === "allowed" ? verdict.project : verdict.reason;
}

const LINE: ConsoleRequest = { kind: "command", line: "df -h", hasVariables: false };

Deno.test("checkAllowed() refuses everything by default, and names the key", () => {
  assert.match(check({ kind: "terminal" }, NOTHING), /console\.allow\.terminals/);
  assert.match(check({ kind: "script" }, NOTHING), /console\.allow\.scripts/);
  assert.match(check(LINE, NOTHING), /console\.allow\.commands/);
});

Deno.test("checkAllowed() needs a project, takes the first, and refuses one that is not listed", () => {
  assert.match(check(LINE, { ...ALL, projects: [] }), /console\.allow\.projects/);
  assert.equal(check(LINE, ALL), "web");
  assert.equal(check(LINE, ALL, { project: "api" }), "api");
  for (const project of ["other", "WEB", "web/../api", "__proto__"]) {
    assert.match(check(LINE, ALL, { project }), /is not allowed.*projects/);
  }
  assert.equal(
    check(LINE, ALL, { project: "a\x1b[31m\n" }),
    'Project "a\u{fffd}[31m\u{fffd}" is not allowed for the console (console.allow.projects)',
  );
});

Deno.test("checkAllowed() compares a command to the letter, and lets it have no variables", () => {
  const rules = { ...ALL, commands: ["df -h"], scripts: false, terminals: false };
  assert.equal(check(LINE, rules), "web");
  for (const line of ["df  -h", "df -h; id", " df -h", "df -h\n", "*", "", undefined]) {
    assert.match(check({ ...LINE, line }, rules), /console\.allow\.commands/);
  }
  assert.match(check({ ...LINE, hasVariables: true }, rules), /without variables/);
  assert.equal(check({ ...LINE, hasVariables: true, line: undefined }, ALL), "web");
  assert.match(check({ kind: "script" }, rules), /console\.allow\.scripts/);
});

Deno.test("checkAllowed() checks users where they are set", () => {
  const rules = { ...ALL, users: ["ann"] };
  assert.equal(check(LINE, rules, { user: "ann" }), "web");
  assert.match(check(LINE, rules, { user: "bob" }), /User "bob".*console\.allow\.users/);
  assert.match(check(LINE, rules), /does not name its user/);
  assert.match(check(LINE, { ...ALL, users: [] }, { user: "ann" }), /console\.allow\.users/);
});

Deno.test("lineOf() tells words apart, or gives no line", () => {
  assert.equal(lineOf(["df", "-h"]), "df -h");
  for (const words of [["df -h"], ["df", ""], ["df", "-h\n"]]) {
    assert.equal(lineOf(words), undefined);
  }
});
