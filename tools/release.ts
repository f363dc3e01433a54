/**
 * Makes a release: `deno task release`. The release workflow runs nothing else.
 *
 * Archives, checksums, a bill of materials, provenance, an installer, and signatures if there is a
 * key. Then installs what it made from loopback, and runs it.
 *
 * @module
 */
import { progress } from "./build/progress.ts";
import { readFlags } from "./flags.ts";
import { makeRelease, type ReleaseOptions } from "./release/make_release.ts";

const USAGE = `Usage: deno task release [options]

  --target TRIPLE    platform to build for; may be repeated; "all" fails unless each can be built
                     (default: each that can be built here)
  --layout LAYOUT    auto (default), executable, or shared-runtime
  --out DIR          output directory (default: dist-release)
  --key FILE         sign with this secret key of minisign, which has no password
  --public-key KEY   the key that the installer verifies with, if the release is signed elsewhere
  --base-url URL     where the release will be; may contain {version}
  --maintainer WHO   who packages name, as "NAME <ADDRESS>"; also $CICD_TOOLKIT_MAINTAINER.
                     With --base-url it must be set
  --offline          do not use the network: no runtimes are downloaded, and there is no image
  --mirror URL       where Debian's packages for the image come from (default: Debian's own)
  --no-try           do not install and run what was made
  --help
`;

function parseOptions(args: readonly string[]): ReleaseOptions | "help" {
  const flags = readFlags(args, {
    switches: ["offline", "no-try"],
    values: ["layout", "out", "key", "public-key", "base-url", "maintainer", "mirror"],
    lists: ["target"],
  });
  if (flags.has("help")) return "help";
  const layout = flags.value("layout") ?? "auto";
  if (layout !== "auto" && layout !== "executable" && layout !== "shared-runtime") {
    throw new TypeError(`Unknown layout "${layout}": use auto, executable, or shared-runtime`);
  }
  const root = decodeURIComponent(new URL("..", import.meta.url).pathname).replace(/\/+$/, "");
  return {
    root,
    out: (flags.value("out") ?? `${root}/dist-release`).replace(/\/+$/, ""),
    targets: flags.list("target"),
    layout,
    keyFile: flags.value("key"),
    publicKey: flags.value("public-key"),
    baseUrl: flags.value("base-url"),
    maintainer: flags.value("maintainer") ?? Deno.env.get("CICD_TOOLKIT_MAINTAINER"),
    mirror: flags.value("mirror"),
    offline: flags.has("offline"),
    tries: !flags.has("no-try"),
  };
}

if (import.meta.main) {
  const stop = new AbortController();
  Deno.addSignalListener("SIGINT", () => stop.abort(new Error("Interrupted")));
  try {
    const options = parseOptions(Deno.args);
    if (options === "help") console.log(USAGE);
    else {
      const files = await makeRelease(options, progress(false), stop.signal);
      console.log(`${options.out}/`);
      for (const { name, bytes } of files) console.log(`${String(bytes).padStart(12)}  ${name}`);
    }
  } catch (error) {
    console.error(`release: ${error instanceof Error ? error.message : String(error)}`);
    Deno.exitCode = error instanceof TypeError ? 64 : 1;
  }
  Deno.exit();
}
