import assert from "node:assert/strict";
import { releaseInstaller } from "../../../../tools/release/installer.ts";
import { planTarget } from "../../../../tools/release/plan_targets.ts";
import { builderOf, formatProvenance } from "../../../../tools/release/provenance.ts";

Deno.test("formatProvenance() is an in-toto statement about the files, sorted by name", () => {
  const text = formatProvenance({
    subjects: new Map([["b", "22"], ["a", "11"]]),
    parameters: { version: "0.1.0" },
    materials: [{ uri: "pkg:github/denoland/deno@v2.9.6", digest: { sha256: "33" } }],
    builder: builderOf(() => undefined),
  });
  assert.deepEqual(JSON.parse(text), {
    _type: "https://in-toto.io/Statement/v1",
    subject: [{ name: "a", digest: { sha256: "11" } }, { name: "b", digest: { sha256: "22" } }],
    predicateType: "https://slsa.dev/provenance/v1",
    predicate: {
      buildDefinition: {
        buildType: "urn:cicd-toolkit:release-task:v1",
        externalParameters: { version: "0.1.0" },
        resolvedDependencies: [
          { uri: "pkg:github/denoland/deno@v2.9.6", digest: { sha256: "33" } },
        ],
      },
      runDetails: { builder: { id: "urn:cicd-toolkit:local" } },
    },
  });
});

Deno.test("builderOf() names the workflow and its run", () => {
  const env = new Map([
    ["GITHUB_SERVER_URL", "https://github.example"],
    ["GITHUB_REPOSITORY", "o/r"],
    ["GITHUB_WORKFLOW_REF", "o/r/.github/workflows/release.yml@refs/tags/v1"],
    ["GITHUB_RUN_ID", "7"],
  ]);
  assert.deepEqual(builderOf((name) => env.get(name)), {
    id: "https://github.example/o/r/.github/workflows/release.yml@refs/tags/v1",
    invocation: "https://github.example/o/r/actions/runs/7/attempts/1",
  });
});

const INSTALLER = `#!/bin/sh
default_version=''
default_base_url=''
default_public_key=''
`;

Deno.test("releaseInstaller() fills in where a release is, and who signs it", () => {
  const settings = {
    version: "0.1.0",
    baseUrl: "https://h.example/releases/v{version}",
    publicKey: "RW+/=",
  };
  assert.equal(
    releaseInstaller(INSTALLER, settings),
    `#!/bin/sh
default_version='0.1.0'
default_base_url='https://h.example/releases/v{version}'
default_public_key='RW+/='
`,
  );
});

Deno.test("releaseInstaller() refuses a value that the shell would read otherwise", () => {
  for (const baseUrl of ["https://h/'; rm -rf ~; '", "https://h/$(id)", "a\nb"]) {
    const settings = { version: "0.1.0", baseUrl, publicKey: undefined };
    assert.throws(() => releaseInstaller(INSTALLER, settings), TypeError);
  }
});

Deno.test("releaseInstaller() refuses an installer without a place for the settings", () => {
  const settings = { version: "0.1.0", baseUrl: undefined, publicKey: undefined };
  assert.throws(() => releaseInstaller("#!/bin/sh\n", settings), /it has no such line/);
});

const HERE = Deno.build.target;
const absent = { kind: "absent", reason: "no denort" } as const;
const pinned = { kind: "pinned", name: "denort.zip", sha256: "11" } as const;

Deno.test("planTarget() makes executables where there is a pinned runtime", () => {
  const plan = planTarget("elsewhere", { layout: "auto", denort: pinned, isHere: false });
  const { name, sha256 } = pinned;
  const denort = { name, sha256 };
  assert.deepEqual(plan, {
    kind: "buildable",
    target: "elsewhere",
    layout: "executable",
    why: "",
    denort,
  });
});

Deno.test("planTarget() shares this machine's runtime otherwise, and says why", () => {
  const plan = planTarget(HERE, { layout: "auto", denort: absent, isHere: true });
  assert.deepEqual(plan, {
    kind: "buildable",
    target: HERE,
    layout: "shared-runtime",
    why: ", as no denort",
  });
});

Deno.test("planTarget() skips what it cannot build, with the reason", () => {
  const skipped = (layout: "auto" | "executable" | "shared-runtime", isHere: boolean) => {
    const plan = planTarget("t", { layout, denort: absent, isHere });
    return plan.kind === "skipped" ? plan.reason : plan.layout;
  };
  assert.equal(skipped("auto", false), "no denort");
  assert.equal(skipped("executable", true), "no denort");
  assert.match(skipped("shared-runtime", false), /^no denort$|this machine's runtime/);
});
