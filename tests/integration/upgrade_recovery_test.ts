import assert from "node:assert/strict";
import { openDatabase } from "@lib/foundations/store/database.ts";
import { readSchema } from "@lib/foundations/store/schema_rollback.ts";
import { writePending } from "@lib/features/install/upgrade/pending.ts";
import { requireOwn } from "@lib/features/install/upgrade/installed.ts";
import { switchTo } from "@lib/features/install/upgrade/switch.ts";
import { recoverInstallation, upgrade } from "@lib/features/install/upgrade/upgrade.ts";
import { openStage } from "../support/upgrade_stage.ts";

Deno.test("recoverInstallation() leaves a release alone that was installed since", async () => {
  await using t = await openStage();
  const { installation } = t.input();
  await using elsewhere = await openStage({ version: "1.5.0" });
  const id = "1.5.0-installed";
  await writePending(installation, {
    from: "1.0.0-installed",
    to: "1.1.0-gone",
    state_dir: `${t.directory}/state`,
    socket: `${t.directory}/socket`,
    started_at_ms: 0,
    before: { units: { agents: [], sockets: [] }, isReady: true, jobs: [] },
    schema: { statements: [], counted: 0 },
  });
  const path = `${t.directory}/state/runner.db`;
  const made = "CREATE TABLE made_since (id TEXT) STRICT;\n";
  openDatabase({ path, schemas: [{ name: "notes", migrations: [made] }] })[Symbol.dispose]();
  // As install.sh does.
  await Deno.rename(`${elsewhere.home}/releases/${id}`, `${t.home}/releases/${id}`);
  await switchTo(installation, { current: id, previous: "1.0.0-installed" });
  const ports = t.ports();
  assert.match(await recoverInstallation(installation, ports) ?? "", /1\.5\.0 was installed since/);
  assert.deepEqual([await t.current(), await t.current("previous")], ["1.5.0", "1.0.0"]);
  assert.deepEqual(Object.keys(readSchema(path)?.versions ?? {}), ["notes"]);
  assert.deepEqual(await t.left(), []);
});

Deno.test("upgrade() that goes back keeps the release that was there before", async () => {
  await using t = await openStage();
  await t.publish({ version: "1.1.0" });
  await upgrade(t.input(), t.ports());
  await t.publish({ version: "1.2.0", answers: "0.9.0" });
  assert.equal((await upgrade(t.input(), t.ports())).kind, "rolled_back");
  assert.deepEqual([await t.current(), await t.current("previous")], ["1.1.0", "1.0.0"]);
});

Deno.test("upgrade() that goes back after the switch keeps it too", async () => {
  await using t = await openStage();
  await t.publish({ version: "1.1.0" });
  await upgrade(t.input(), t.ports());
  await t.publish({ version: "1.2.0", failsToInstall: true });
  assert.equal((await upgrade(t.input(), t.ports())).kind, "rolled_back");
  assert.deepEqual([await t.current(), await t.current("previous")], ["1.1.0", "1.0.0"]);
});

Deno.test("requireOwn() refuses an installation for all users, wherever it is", async () => {
  await using t = await openStage();
  await Deno.mkdir(`${t.prefix}/bin`);
  const { installation } = t.input();
  await requireOwn(installation, Deno.uid() ?? 0);
  // As install.sh --system does.
  await Deno.symlink("lib/cicd-toolkit/current/lib/cicd-toolkit/units", `${t.prefix}/units`);
  await assert.rejects(requireOwn(installation, Deno.uid() ?? 0), /it is for all users; its admin/);
});
