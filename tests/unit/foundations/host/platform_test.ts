import assert from "node:assert/strict";
import { detectPlatform, type FoundPlatform } from "@lib/foundations/host/platform.ts";

const DMI = "/sys/class/dmi/id";

function found(
  env: Readonly<Record<string, string>>,
  { texts = {}, names = {} }: {
    readonly texts?: Readonly<Record<string, string>>;
    readonly names?: Readonly<Record<string, readonly string[]>>;
  } = {},
): FoundPlatform {
  return detectPlatform(env, {
    read: (path) => texts[path] ?? "",
    list: (path) => names[path] ?? [],
  });
}

Deno.test("detectPlatform() knows the platforms by their variables", () => {
  assert.deepEqual(
    found({ FLY_APP_NAME: "ci", FLY_MACHINE_ID: "e2865", FLY_REGION: "iad" }),
    { provider: "fly", region: "iad" },
  );
  assert.deepEqual(found({ E2B_SANDBOX: "true" }), { provider: "e2b" });
  assert.deepEqual(found({ E2B_SANDBOX_ID: "i4x" }), { provider: "e2b" });
  assert.deepEqual(found({ DEVPOD: "true" }), { provider: "devpod" });
  assert.deepEqual(
    found({ RUNPOD_POD_ID: "p1", RUNPOD_DC_ID: "EU-RO-1" }),
    { provider: "runpod", region: "EU-RO-1" },
  );
  assert.deepEqual(found({ KUBERNETES_SERVICE_HOST: "10.0.0.1" }), { provider: "kubernetes" });
});

Deno.test("detectPlatform() knows containers by their files", () => {
  const account = "/var/run/secrets/kubernetes.io/serviceaccount";
  assert.deepEqual(found({}, { names: { [account]: ["token"] } }), { provider: "kubernetes" });
  assert.deepEqual(found({}, { names: { "/": ["bin", ".dockerenv"] } }), { provider: "docker" });
  assert.deepEqual(found({}, { names: { "/run": [".containerenv"] } }), { provider: "docker" });
});

Deno.test("detectPlatform() takes the innermost platform", () => {
  const names = { "/": [".dockerenv"] };
  const texts = { [`${DMI}/sys_vendor`]: "Amazon EC2\n" };
  assert.equal(found({ DEVPOD: "true" }, { names, texts }).provider, "devpod");
  assert.equal(found({ KUBERNETES_SERVICE_HOST: "k" }, { names, texts }).provider, "kubernetes");
  assert.equal(found({}, { names, texts }).provider, "docker");
});

Deno.test("detectPlatform() knows the clouds by the maker of the machine", () => {
  const cloud = (maker: string, more: Readonly<Record<string, string>> = {}) =>
    found({ AWS_REGION: "eu-central-1" }, { texts: { [`${DMI}/sys_vendor`]: maker, ...more } });
  assert.deepEqual(cloud("Amazon EC2\n"), { provider: "aws", region: "eu-central-1" });
  assert.deepEqual(cloud("DigitalOcean\n"), { provider: "digitalocean" });
  const gce = { [`${DMI}/product_name`]: "Google Compute Engine\n" };
  assert.deepEqual(cloud("Google\n", gce), { provider: "gcp" });
  assert.deepEqual(cloud("Google\n", { [`${DMI}/product_name`]: "Pixelbook\n" }), {});
  const azure = { [`${DMI}/chassis_asset_tag`]: "7783-7084-3265-9085-8269-3286-77\n" };
  assert.deepEqual(cloud("Microsoft Corporation\n", azure), { provider: "azure" });
  assert.deepEqual(cloud("Microsoft Corporation\n"), {});
});

Deno.test("detectPlatform() leaves out what a plain machine does not tell", () => {
  assert.deepEqual(found({ AWS_REGION: "eu-central-1", FLY_REGION: "iad" }), {});
  assert.deepEqual(found({ FLY_APP_NAME: "", KUBERNETES_SERVICE_HOST: "" }), {});
});

Deno.test("detectPlatform() reads the distribution, and refuses what is no name", () => {
  const distro = (text: string, path = "/etc/os-release") =>
    found({}, { texts: { [path]: text } }).distro;
  assert.equal(distro('NAME="Debian"\nVERSION_ID="12"\nID=debian\nID_LIKE=x\n'), "debian");
  assert.equal(distro('ID="opensuse-leap"\n'), "opensuse-leap");
  assert.equal(distro("ID='ubuntu'\n", "/usr/lib/os-release"), "ubuntu");
  assert.equal(distro("VERSION_ID=12\n"), undefined);
  assert.equal(distro("ID=a b\n"), undefined);
  assert.equal(distro(`ID=${"x".repeat(65)}\n`), undefined);
  const region = { FLY_APP_NAME: "ci", FLY_MACHINE_ID: "1", FLY_REGION: "iad\u001b[2J" };
  assert.deepEqual(found(region), { provider: "fly" });
});
