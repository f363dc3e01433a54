import assert from "node:assert/strict";
import fc from "fast-check";
import { ownedPaths, planUnits, UNIT_NAMES } from "@lib/features/install/unit_files.ts";

const UNITS = UNIT_NAMES.map((name) => ({ name, text: `[Unit]\nDescription=${name}\n` }));
const DROP_IN = { name: "50-namespaces.conf", text: "[Service]\nPrivateUsers=yes\n" };

function apply(
  present: ReadonlyMap<string, string>,
  options: { hardened: boolean | undefined; binDir?: string; home?: string },
): ReadonlyMap<string, string> {
  const after = new Map(present);
  const actions = planUnits({
    unitDir: "/u",
    units: UNITS,
    hardening: options.hardened === undefined ? undefined : options.hardened ? [DROP_IN] : [],
    binDir: options.binDir,
    home: options.home,
    present,
  });
  for (const action of actions) {
    if (action.kind === "write") after.set(action.path, action.text);
    else after.delete(action.path);
  }
  return after;
}

Deno.test("planUnits() writes every unit into an empty directory", () => {
  const after = apply(new Map(), { hardened: false });
  assert.deepEqual([...after.keys()], UNIT_NAMES.map((name) => `/u/${name}`));
});

Deno.test("planUnits() adds and takes away the drop-ins", () => {
  const with_ = apply(new Map(), { hardened: true, binDir: "/srv/ci/bin" });
  assert.ok(with_.has("/u/cicd-agent@.service.d/50-namespaces.conf"));
  assert.match(with_.get("/u/cicd-runner.service.d/10-path.conf") ?? "", /PATH=\/srv\/ci\/bin:/);
  const without = apply(with_, { hardened: false });
  assert.deepEqual([...without.keys()], UNIT_NAMES.map((name) => `/u/${name}`));
});

Deno.test("planUnits() adds no PATH where the units find the programs by themselves", () => {
  const pathOf = (binDir: string, home?: string) =>
    apply(new Map(), { hardened: false, binDir, ...(home === undefined ? {} : { home }) })
      .get("/u/cicd-clean.service.d/10-path.conf");
  assert.equal(pathOf("/home/dev/.local/bin", "/home/dev"), undefined);
  assert.equal(pathOf("/opt/cicd-toolkit/bin"), undefined);
  assert.match(pathOf("/home/dev/.local/bin", "/home/other") ?? "", /PATH=\/home\/dev/);
});

Deno.test("planUnits() leaves hardening as it is where it was not tried", () => {
  const hardened = apply(new Map(), { hardened: true });
  assert.deepEqual([...apply(hardened, { hardened: undefined })], [...hardened]);
});

Deno.test("planUnits() leads to the same end from any start, and then plans nothing", () => {
  const owned = ownedPaths("/u");
  const start = fc.dictionary(
    fc.constantFrom(...owned),
    fc.constantFrom("", "old\n", DROP_IN.text),
  );
  fc.assert(fc.property(start, fc.boolean(), (files, hardened) => {
    const options = { hardened };
    const after = apply(new Map(Object.entries(files)), options);
    const fresh = apply(new Map(), options);
    assert.deepEqual([...after].sort(), [...fresh].sort());
    assert.deepEqual([...apply(after, options)], [...after]);
  }));
});

Deno.test("planUnits() never touches a file that is not its own", () => {
  const own = new Map([["/u/cicd-agent@web.service.d/override.conf", "mine"]]);
  const after = apply(own, { hardened: true });
  assert.equal(after.get("/u/cicd-agent@web.service.d/override.conf"), "mine");
});

Deno.test("planUnits() refuses a directory that would mean something else in a unit file", () => {
  const plan = (binDir: string) =>
    apply(new Map(), { hardened: false, binDir }).get("/u/cicd-runner.service.d/10-path.conf");
  assert.match(plan("/home/dev/my apps/bin") ?? "", /"PATH=\/home\/dev\/my apps\/bin:/);
  for (const path of ['/a"b', "/a%hb", "/a\nExecStart=b", "/a\\b", "/a$b", "relative"]) {
    assert.throws(() => plan(path), RangeError);
  }
});
