/**
 * `version`, and `build.json`, which lies beside the programs and says what was built.
 *
 * @module
 */
import * as v from "valibot";
import { VERSION } from "@lib/core/version.ts";
import { readIfThere } from "@lib/foundations/files/records.ts";
import { installationPaths } from "@lib/features/install/program_paths.ts";
import type { CliContext } from "@lib/api/client/context.ts";

const buildInfo = v.object({
  version: v.string(),
  /** Each program its own executable, or two bundles on one shared runtime. */
  layout: v.picklist(["executable", "shared-runtime"]),
  /** The runtime's version. */
  deno: v.string(),
  /** The platform's triple, such as `x86_64-unknown-linux-gnu`. */
  target: v.string(),
  /** The commit built, if the tree was a clean checkout. */
  commit: v.optional(v.string()),
  /** RFC 3339 in UTC; `SOURCE_DATE_EPOCH` if that was set. */
  date: v.optional(v.string()),
  /** The version of each owner's tables that its programs know. */
  schemas: v.optional(v.record(v.string(), v.number())),
});

/** The facts of one build. */
export type BuildInfo = v.InferOutput<typeof buildInfo>;

/** Formats `build.json`: the same facts give the same bytes. */
export function formatBuildInfo(info: BuildInfo): string {
  const { version, layout, deno, target, commit, date, schemas } = info;
  return JSON.stringify({ version, layout, deno, target, commit, date, schemas }, null, 2) + "\n";
}

/** Parses a `build.json`; `undefined` if the text is none. */
export function parseBuildInfo(text: string): BuildInfo | undefined {
  const parsed = v.safeParse(v.pipe(v.string(), v.parseJson(), buildInfo), text);
  return parsed.success ? parsed.output : undefined;
}

/** Prints the version and the build. Works without a runner. */
export async function version({ out, flags }: CliContext): Promise<number> {
  const { libDir } = installationPaths(Deno.execPath(), Deno.mainModule);
  const text = libDir === undefined ? undefined : await readIfThere(`${libDir}/build.json`);
  const built = parseBuildInfo(text ?? "");
  const facts = {
    version: VERSION,
    layout: built?.layout ?? "source",
    deno: Deno.version.deno,
    target: built?.target ?? Deno.build.target,
    commit: built?.commit ?? null,
    date: built?.date ?? null,
  };
  if (flags.json) await out.json(facts);
  else {
    const { layout, deno, target, commit, date } = facts;
    const origin = [commit, date].filter((part) => part !== null).join(", ");
    await out.line(`cicd-runner ${VERSION}${origin === "" ? "" : ` (${origin})`}`);
    await out.line(`${layout}, deno ${deno}, ${target}`);
  }
  return 0;
}
