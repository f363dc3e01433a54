/**
 * The platform on which the runner lives, found out from its environment and the machine's files.
 *
 * No request leaves the machine, and no program is started. What an address of metadata would know
 * beyond that, such as the region of most clouds, stays unknown.
 *
 * @module
 */
import type { MachineFiles } from "@lib/foundations/host/machine_files.ts";

/** The platform, as far as it is known; a part that nothing tells is missing. */
export interface FoundPlatform {
  /** Such as `fly` or `kubernetes`; missing on a machine of one's own. */
  readonly provider?: string;
  readonly region?: string;
  /** `ID` of `os-release`. */
  readonly distro?: string;
}

type Env = Readonly<Record<string, string | undefined>>;

const SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount";
const DMI = "/sys/class/dmi/id";
/** The tag that Azure writes where others write the number of the chassis. */
const AZURE_CHASSIS = "7783-7084-3265-9085-8269-3286-77";
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

/** Finds out the platform: the innermost one, as an account is administered where it lives. */
export function detectPlatform(
  env: Env,
  files: Pick<MachineFiles, "read" | "list">,
): FoundPlatform {
  const provider = providerOf(env, files);
  const region = regionOf(provider, env);
  const release = files.read("/etc/os-release") || files.read("/usr/lib/os-release");
  const distro = distroIn(release);
  return {
    ...(provider === undefined ? {} : { provider }),
    ...(region === undefined ? {} : { region }),
    ...(distro === undefined ? {} : { distro }),
  };
}

function providerOf(
  env: Env,
  { read, list }: Pick<MachineFiles, "read" | "list">,
): string | undefined {
  const has = (name: string) => (env[name] ?? "") !== "";
  if (has("FLY_APP_NAME") && (has("FLY_REGION") || has("FLY_MACHINE_ID"))) return "fly";
  if (env["E2B_SANDBOX"] === "true" || has("E2B_SANDBOX_ID")) return "e2b";
  if (env["DEVPOD"] === "true" || has("DEVPOD_WORKSPACE_ID")) return "devpod";
  if (has("RUNPOD_POD_ID")) return "runpod";
  if (has("KUBERNETES_SERVICE_HOST") || list(SERVICE_ACCOUNT).length > 0) return "kubernetes";
  const root = list("/");
  // Podman is told from Docker by nothing that matters to a console.
  if (root.includes(".dockerenv") || list("/run").includes(".containerenv")) return "docker";
  return cloudOf(read);
}

/** A virtual machine names its maker to the firmware. */
function cloudOf(read: MachineFiles["read"]): string | undefined {
  const maker = read(`${DMI}/sys_vendor`).trim();
  switch (maker) {
    case "Amazon EC2":
      return "aws";
    case "DigitalOcean":
      return "digitalocean";
    case "Google":
      return read(`${DMI}/product_name`).trim() === "Google Compute Engine" ? "gcp" : undefined;
    case "Microsoft Corporation":
      // Hyper-V of one's own has the same maker.
      return read(`${DMI}/chassis_asset_tag`).trim() === AZURE_CHASSIS ? "azure" : undefined;
    default:
      return undefined;
  }
}

/** Variables of other platforms than the one found mean the programs that use them. */
function regionOf(provider: string | undefined, env: Env): string | undefined {
  const names: Readonly<Record<string, readonly string[]>> = {
    fly: ["FLY_REGION"],
    runpod: ["RUNPOD_DC_ID"],
    aws: ["AWS_REGION", "AWS_DEFAULT_REGION"],
  };
  const told = names[provider ?? ""] ?? [];
  return told.map((name) => env[name]?.trim() ?? "").find((value) => NAME.test(value));
}

function distroIn(release: string): string | undefined {
  const [, quoted = ""] = /^ID=(.*)$/m.exec(release) ?? [];
  const id = quoted.trim().replace(/^(["'])(.*)\1$/, "$2");
  return NAME.test(id) ? id : undefined;
}
