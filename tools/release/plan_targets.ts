/**
 * Decides which targets of a release are built on this machine, and how.
 *
 * @module
 */
import type { BuildInfo } from "@lib/features/install/build_info.ts";
import { RELEASE_TARGETS } from "../build/layout.ts";
import { run } from "../build/run.ts";
import { type PinnedDenort, pinnedDenort, readPins } from "./pinned_denort.ts";

/** The plan for one target. */
export type TargetPlan =
  | {
    readonly kind: "buildable";
    readonly target: string;
    readonly layout: BuildInfo["layout"];
    /** For the report: why it is not the other layout. */
    readonly why: string;
    readonly denort?: { readonly name: string; readonly sha256: string };
  }
  | { readonly kind: "skipped"; readonly target: string; readonly reason: string };

/** Options for {@linkcode planTargets}. */
export interface PlanOptions {
  readonly root: string;
  /** Triples, or "all"; empty: each that can be built. */
  readonly targets: readonly string[];
  readonly layout: "auto" | BuildInfo["layout"];
  readonly offline: boolean;
}

/**
 * Plans each target.
 *
 * @throws {Error} If a target that was asked for by name cannot be built.
 */
export async function planTargets(
  options: PlanOptions,
  signal: AbortSignal,
): Promise<readonly TargetPlan[]> {
  const { root, targets, layout, offline } = options;
  const isEach = targets.length === 0 || targets.includes("all");
  const version = Deno.version.deno;
  const pins = await readPins(root, version);
  const denoDir = await readDenoDir(signal);
  const plans: TargetPlan[] = [];
  for (const target of isEach ? RELEASE_TARGETS : targets) {
    const isHere = target === Deno.build.target;
    const ports = {
      env: (name: string) => name === "DENORT_BIN" && !isHere ? undefined : Deno.env.get(name),
      exists: (path: string) => Deno.stat(path).then((stat) => stat.isFile, () => false),
      host: Deno.build.target,
      reachable: () => Promise.resolve(!offline),
    };
    const denort = await pinnedDenort({
      version,
      target,
      pins,
      denoDir,
      ports,
      fetch: (url) => download(url, signal),
    });
    const plan = planTarget(target, { layout, denort, isHere });
    if (plan.kind === "skipped" && targets.length > 0) {
      throw new Error(`Cannot release ${target}: ${plan.reason}`);
    }
    plans.push(plan);
  }
  return plans;
}

/** Plans one target. */
export function planTarget(
  target: string,
  { layout, denort, isHere }: {
    readonly layout: PlanOptions["layout"];
    readonly denort: PinnedDenort;
    /** The target is this machine. */
    readonly isHere: boolean;
  },
): TargetPlan {
  if (layout !== "shared-runtime" && denort.kind === "pinned") {
    const { name, sha256 } = denort;
    return { kind: "buildable", target, layout: "executable", why: "", denort: { name, sha256 } };
  }
  const reason = denort.kind === "absent" ? denort.reason : "";
  if (layout === "executable") return { kind: "skipped", target, reason };
  if (!isHere) {
    const whose = `this machine's runtime is for ${Deno.build.target}`;
    return { kind: "skipped", target, reason: reason === "" ? whose : reason };
  }
  const why = layout === "auto" ? `, as ${reason}` : "";
  return { kind: "buildable", target, layout: "shared-runtime", why };
}

async function readDenoDir(signal: AbortSignal): Promise<string> {
  const info: unknown = JSON.parse(await run([Deno.execPath(), "info", "--json"], { signal }));
  const denoDir: unknown = Reflect.get(Object(info), "denoDir");
  if (typeof denoDir !== "string") throw new Error("Cannot find the directory of Deno");
  return denoDir;
}

/** The size of the runtime is some 40 MiB. */
const DOWNLOAD_TIMEOUT_MS = 10 * 60_000;

async function download(url: string, signal: AbortSignal): Promise<Uint8Array> {
  const deadline = AbortSignal.any([signal, AbortSignal.timeout(DOWNLOAD_TIMEOUT_MS)]);
  const response = await fetch(url, { signal: deadline });
  if (!response.ok) throw new Error(`Cannot download "${url}": status ${response.status}`);
  return await response.bytes();
}
