import assert from "node:assert/strict";
import plugin from "../../../../tools/lint/layers.ts";

/** The rules that a source breaks, in the order of their places. */
function broken(path: string, source: string): string[] {
  const filename = new URL(`../../../../${path}`, import.meta.url).pathname;
  return Deno.lint.runPlugin(plugin, filename, source).map(({ id }) => id);
}

const FINE: readonly (readonly [string, string])[] = [
  ["lib/api/router.ts", 'import { x } from "@lib/spine/jobs/model.ts";'],
  ["lib/api/router.ts", 'import type { x } from "@lib/spine/executors/settle.ts";'],
  ["lib/api/router.ts", 'import { Hono } from "hono/tiny";'],
  [
    "lib/spine/queue/x.ts",
    'import { x } from "../../foundations/store/database.ts"; import "../jobs/model.ts";',
  ],
  ["lib/spine/jobs/queue.ts", 'import { x } from "./model.ts"; export * from "./row.ts";'],
  ["lib/foundations/store/database.ts", 'import { DatabaseSync } from "node:sqlite";'],
  ["lib/spine/logs/tail.ts", 'import assert from "node:assert"; const x = Deno.readTextFile;'],
  ["lib/features/newborn/thing.ts", 'import { x } from "@lib/foundations/config/load.ts";'],
  ["cmd/runner/wire.ts", 'import { x } from "../agent/wire.ts"; import "@lib/api/router.ts";'],
  ["cmd/runner/main.ts", "if (import.meta.main) await run();"],
  ["tests/unit/x_test.ts", 'import "fast-check"; import "@lib/api/router.ts"; Deno.test("x", f);'],
  ["tools/x.ts", 'new Deno.Command("x"); let y = 1; Deno.exit(y);'],
  ["lib/core/x.ts", 'const x = new Set([1]); export const Y = { z: "w" } as const;'],
  ["lib/core/x.ts", "export function f() { let a = 1; if (a) run(); }"],
  ["lib/core/x.ts", "function g() { try { f(); } catch (error) { report(error); } }"],
  ["lib/core/x.ts", 'function g() { p.catch(ignore("gone")); p.catch((e) => { log(e); }); }'],
  ["lib/foundations/systemd/libc.ts", 'export function open() { return Deno.dlopen("x", {}); }'],
];

for (const [path, source] of FINE) {
  Deno.test(`lint plugin accepts ${JSON.stringify(source)} in ${path}`, () => {
    assert.deepEqual(broken(path, source), []);
  });
}

const REFUSED: readonly (readonly [string, string, string])[] = [
  ["layers", "lib/core/x.ts", 'import { x } from "@lib/foundations/log/log.ts";'],
  ["layers", "lib/core/x.ts", 'import type { X } from "@lib/foundations/log/log.ts";'],
  ["layers", "lib/foundations/store/x.ts", 'import { x } from "@lib/foundations/log/log.ts";'],
  ["layers", "lib/foundations/store/x.ts", 'export { x } from "../log/log.ts";'],
  ["layers", "lib/foundations/store/x.ts", 'export * from "../../spine/jobs/model.ts";'],
  ["layers", "lib/spine/logs/x.ts", 'import { x } from "@lib/spine/executors/settle.ts";'],
  ["layers", "lib/features/newborn/x.ts", 'import { x } from "@lib/features/gryt/answer.ts";'],
  ["layers", "lib/spine/jobs/x.ts", 'import { x } from "@lib/api/router.ts";'],
  ["layers", "lib/api/x.ts", 'import { x } from "../../cmd/runner/wire.ts";'],
  ["layers", "lib/api/x.ts", 'import { x } from "../../tests/support/fake_clock.ts";'],
  ["layers", "lib/api/x.ts", 'import { x } from "../../../elsewhere.ts";'],
  ["layers", "lib/api/x.ts", 'function f() { return import("@lib/../cmd/runner/wire.ts"); }'],
  ["layers", "lib/api/x.ts", 'import { parse } from "yaml";'],
  ["layers", "lib/api/x.ts", 'import { parse } from "npm:yaml@2.9.1";'],
  ["layers", "lib/api/x.ts", 'import fc from "fast-check";'],
  ["layers", "cmd/runner/x.ts", 'import { parseArgs } from "@std/cli/parse-args";'],
  ["layers", "lib/spine/jobs/x.ts", 'import { DatabaseSync } from "node:sqlite";'],
  ["layers", "lib/spine/jobs/x.ts", 'function f() { return import("hono/tiny"); }'],
  ["layers", "lib/foundations/log/x.ts", 'import { spawn } from "node:child_process";'],
  ["owned-calls", "lib/foundations/log/x.ts", 'function f() { return new Deno.Command("x"); }'],
  ["owned-calls", "lib/foundations/log/x.ts", 'function f() { return new Deno["Command"]("x"); }'],
  ["owned-calls", "lib/foundations/systemd/x.ts", 'function f() { return Deno.dlopen("x", {}); }'],
  ["owned-calls", "cmd/runner/x.ts", "function f() { Deno.exit(1); }"],
  ["no-empty-catch", "lib/core/x.ts", "function f() { try { g(); } catch {} }"],
  ["no-empty-catch", "tests/x.ts", "try { g(); } catch { /* it is gone */ }"],
  ["no-empty-catch", "lib/core/x.ts", "function f() { p.catch(() => {}); }"],
  ["no-top-level-work", "lib/core/x.ts", "start();"],
  ["no-top-level-work", "lib/core/x.ts", "await start();"],
  ["no-top-level-work", "lib/core/x.ts", "const x = await start();"],
  ["no-top-level-work", "lib/core/x.ts", "export const x = await start();"],
  ["no-top-level-work", "lib/core/x.ts", "let count = 0;"],
  ["no-top-level-work", "lib/core/x.ts", "export let count = 0;"],
  ["no-top-level-work", "cmd/runner/wire.ts", "if (import.meta.main) run();"],
];

for (const [rule, path, source] of REFUSED) {
  Deno.test(`lint plugin refuses ${JSON.stringify(source)} in ${path}`, () => {
    assert.deepEqual(broken(path, source), [`cicd/${rule}`]);
  });
}
