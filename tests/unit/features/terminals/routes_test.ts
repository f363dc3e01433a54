import assert from "node:assert/strict";
import { loadConfig } from "@lib/foundations/config/load.ts";
import { part } from "@lib/features/terminals/runner.ts";
import { SECTIONS } from "../../../../cmd/shared/config_sections.ts";
import { openApi } from "../../../support/api_fixture.ts";
import { sourceOf } from "../../../support/source_node.ts";

function setup(file: unknown = {}) {
  const { config } = loadConfig({
    sections: SECTIONS,
    home: "/home/ann",
    env: { XDG_RUNTIME_DIR: "/run/user/1000" },
    cores: 2,
    flags: new Map(),
    file: { name: "c.yaml", root: sourceOf(file) },
  });
  let expected = 0;
  const api = openApi({
    config: () => config,
    unitExpected: () => void expected++,
    // Unit tests may not connect: the dial fails, after what is of interest here.
    replaced: { terminals: part },
  });
  return {
    ...api,
    expected: () => expected,
    async open(query: string) {
      const request = new Request(`http://localhost/v1/projects/web/terminal${query}`);
      return await api.router.upgrade(request, { kind: "local" }).then(() => "", String);
    },
  };
}

Deno.test("a new terminal tells that a unit will be started; one that is joined does not", async () => {
  using t = setup();
  await t.open("?session=1f2e3d4c");
  assert.equal(t.expected(), 0);
  await t.open("");
  assert.equal(t.expected(), 1);
});

Deno.test("a terminal that is refused tells nothing", async () => {
  using t = setup({ terminals: { enabled: false } });
  assert.match(await t.open(""), /terminals\.enabled/);
  using other = setup();
  assert.match(await other.open("?command=%00"), /Cannot run the command/);
  assert.deepEqual([t.expected(), other.expected()], [0, 0]);
});
