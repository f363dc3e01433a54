/**
 * Makes a release: `deno task release`. The release workflow runs nothing else.
 *
 * Archives, checksums, a bill of materials, provenance, an installer, and signatures if there is a
 * key. Then installs what it made from loopback, and runs it.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { progress } from "./build/progress.ts";
import { makeRelease, type ReleaseOptions } from "./release/make_release.ts";

const USAGE = `Usage: deno task release [options]

  --target TRIPLE    platform to build for; may be repeated; "all" fails unless each can be built
                     (default: each that can be built here)
  --layout LAYOUT    auto (default), executable, or shared-runtime
  --out DIR          output directory (default: dist-release)
  --key FILE         sign with this secret key of minisign, which has no password
  --public-key KEY   the key that the installer verifies with, if the release is signed elsewhere
  --base-url URL     where the release will be; may contain {version}
  --offline          do not download runtimes
  --no-try           do not install and run what was made
  --help
`;

function parseOptions(args: readonly string[]): ReleaseOptions | "help" {
  const { values } = parseArgs({
    args: [...args],
    options: {
      target: { type: "string", multiple: true },
      layout: { type: "string", default: "auto" },
      out: { type: "string" },
      key: { type: "string" },
      "public-key": { type: "string" },
      "base-url": { type: "string" },
      offline: { type: "boolean", default: false },
      "no-try": { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return "help";
  const { layout } = values;
  if (layout !== "auto" && layout !== "executable" && layout !== "shared-runtime") {
    throw new TypeError(`Unknown layout "${layout}": use auto, executable, or shared-runtime`);
  }
  const root = decodeURIComponent(new URL("..", import.meta.url).pathname).replace(/\/+$/, "");
  return {
    root,
    out: (values.out ?? `${root}/dist-release`).replace(/\/+$/, ""),
    targets: values.target ?? [],
    layout,
    keyFile: values.key,
    publicKey: values["public-key"],
    baseUrl: values["base-url"],
    offline: values.offline,
    tries: !values["no-try"],
  };
}

if (import.meta.main) {
  const stop = new AbortController();
  Deno.addSignalListener("SIGINT", () => stop.abort(new Error("Interrupted")));
  try {
    const options = parseOptions(Deno.args);
    if (options === "help") console.log(USAGE);
    else await makeRelease(options, progress(false), stop.signal);
  } catch (error) {
    console.error(`release: ${error instanceof Error ? error.message : String(error)}`);
    Deno.exitCode = error instanceof TypeError ? 64 : 1;
  }
  Deno.exit();
}
