/**
 * `deno task pages`: renders README, changelog and `docs/` as static pages into `dist-pages/`.
 *
 * Exits with 1, and leaves an earlier site as it is, if a link leads nowhere.
 *
 * @module
 */
import { fromFileUrl } from "@lib/core/file_url.ts";
import { readFlags } from "./flags.ts";
import { writeSite } from "./pages/write_site.ts";

const ROOT = fromFileUrl(new URL("..", import.meta.url).href).replace(/\/$/, "");

const USAGE = `Usage: deno task pages [options]

  --out DIR   output directory, which is replaced (default: dist-pages)
  --check     only check the links
  --help
`;

async function main(args: readonly string[]): Promise<number> {
  const flags = readFlags(args, { switches: ["check"], values: ["out"] });
  if (flags.has("help")) {
    console.log(USAGE);
    return 0;
  }
  const out = flags.value("out") ?? `${ROOT}/dist-pages`;
  const { pages, dead } = await writeSite(ROOT, flags.has("check") ? undefined : out);
  for (const line of dead) console.error(line);
  console.log(`${pages} pages, ${dead.length} dead links`);
  return dead.length > 0 ? 1 : 0;
}

if (import.meta.main) {
  try {
    Deno.exitCode = await main(Deno.args);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    console.error(`pages: ${error.message}`);
    Deno.exitCode = 64;
  }
}
