import assert from "node:assert/strict";
import plugin from "../../../../tools/lint/layers.ts";

/** The rules that a source breaks, in the order of their places. */
function broken(path: string, source: string): string[] {
  const filename = new URL(`../../../../${path}`, import.meta.url).pathname;
  return Deno.lint.runPlugin(plugin, filename, source).map(({ id }) => id);
}

const FINE: readonly (readonly [string, string])[] = [
  ["lib/api/app.ts", 'import { x } from "@lib/jobs/model.ts";'],
  ["lib/api/app.ts", 'import type { x } from "@lib/executors/executor.ts";'],
  ["lib/api/app.ts", 'import { Hono } from "hono/tiny";'],
  ["lib/jobs/queue.ts", 'import { x } from "../store/database.ts";'],
  ["lib/jobs/queue.ts", 'import { x } from "./model.ts"; export * from "./row.ts";'],
  ["lib/store/database.ts", 'import { DatabaseSync } from "node:sqlite";'],
  ["lib/logs/tail.ts", 'import assert from "node:assert"; const x = Deno.readTextFile;'],
  ["lib/newborn/thing.ts", 'import { x } from "@lib/config/load.ts";'],
  ["cmd/runner/wire.ts", 'import { x } from "../agent/wire.ts"; import "@lib/api/app.ts";'],
  ["cmd/runner/main.ts", "if (import.meta.main) await run();"],
  ["tests/unit/x_test.ts", 'import "fast-check"; import "@lib/api/app.ts"; Deno.test("x", f);'],
  ["tools/x.ts", 'new Deno.Command("x"); let y = 1; Deno.exit(y);'],
  ["lib/core/x.ts", 'const x = new Set([1]); export const Y = { z: "w" } as const;'],
  ["lib/core/x.ts", "export function f() { let a = 1; if (a) run(); }"],
  ["lib/core/x.ts", "function g() { try { f(); } catch (error) { report(error); } }"],
  ["lib/core/x.ts", 'function g() { p.catch(ignore("gone")); p.catch((e) => { log(e); }); }'],
  ["lib/systemd/libc.ts", 'export function open() { return Deno.dlopen("x", {}); }'],
];

for (const [path, source] of FINE) {
  Deno.test(`lint plugin accepts ${JSON.stringify(source)} in ${path}`, () => {
    assert.deepEqual(broken(path, source), []);
  });
}

const REFUSED: readonly (readonly [string, string, string])[] = [
  ["layers", "lib/core/x.ts", 'import { x } from "@lib/log/log.ts";'],
  ["layers", "lib/core/x.ts", 'import type { X } from "@lib/log/log.ts";'],
  ["layers", "lib/store/x.ts", 'import { x } from "@lib/log/log.ts";'],
  ["layers", "lib/store/x.ts", 'export { x } from "../log/log.ts";'],
  ["layers", "lib/store/x.ts", 'export * from "../jobs/model.ts";'],
  ["layers", "lib/logs/x.ts", 'import { x } from "@lib/executors/executor.ts";'],
  ["layers", "lib/newborn/x.ts", 'import { x } from "@lib/logs/tail.ts";'],
  ["layers", "lib/jobs/x.ts", 'import { x } from "@lib/api/app.ts";'],
  ["layers", "lib/api/x.ts", 'import { x } from "../../cmd/runner/wire.ts";'],
  ["layers", "lib/api/x.ts", 'import { x } from "../../tests/support/fake_clock.ts";'],
  ["layers", "lib/api/x.ts", 'import { x } from "../../../elsewhere.ts";'],
  ["layers", "lib/api/x.ts", 'function f() { return import("@lib/../cmd/runner/wire.ts"); }'],
  ["layers", "lib/api/x.ts", 'import { parse } from "yaml";'],
  ["layers", "lib/api/x.ts", 'import { parse } from "npm:yaml@2.9.1";'],
  ["layers", "lib/api/x.ts", 'import fc from "fast-check";'],
  ["layers", "lib/jobs/x.ts", 'import { DatabaseSync } from "node:sqlite";'],
  ["layers", "lib/jobs/x.ts", 'function f() { return import("hono/tiny"); }'],
  ["layers", "lib/log/x.ts", 'import { spawn } from "node:child_process";'],
  ["owned-calls", "lib/log/x.ts", 'function f() { return new Deno.Command("x"); }'],
  ["owned-calls", "lib/log/x.ts", 'function f() { return new Deno["Command"]("x"); }'],
  ["owned-calls", "lib/systemd/x.ts", 'function f() { return Deno.dlopen("x", {}); }'],
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
