/**
 * `deno task docs`: regenerates the generated parts of the documentation;
 * `--check` only reports stale ones and exits with 1.
 *
 * @module
 */
import { withReference } from "./docs/config_reference.ts";
import { SECTIONS } from "../cmd/shared/config_sections.ts";
import { withFlagReference } from "./docs/flag_reference.ts";
import { completionTable } from "./docs/completion_table.ts";
import { apiReference } from "./docs/api_reference.ts";
import { readOpenApi } from "./docs/read_openapi.ts";
import { readFlags } from "./flags.ts";

if (import.meta.main) {
  Deno.exitCode = await main(readFlags(Deno.args, { switches: ["check"] }).has("check"));
}

async function main(check: boolean): Promise<number> {
  const stale: string[] = [];
  for (const { path, text } of await documents()) {
    const before = await readIfThere(path);
    if (before === text) continue;
    stale.push(path);
    if (!check) await Deno.writeTextFile(path, text);
  }
  for (const path of stale) console.log(`${check ? "stale" : "written"}: ${path}`);
  if (check && stale.length > 0) console.log("Run: deno task docs");
  return check && stale.length > 0 ? 1 : 0;
}

async function documents(): Promise<readonly { path: string; text: string }[]> {
  const configuration = "docs/configuration.md";
  const commands = "docs/cli.md";
  return [
    { path: "docs/api.md", text: await formatted(apiReference(await readOpenApi())) },
    {
      path: configuration,
      text: await formatted(withReference(await Deno.readTextFile(configuration), SECTIONS)),
    },
    {
      path: commands,
      text: await formatted(withFlagReference(await Deno.readTextFile(commands))),
    },
    {
      path: "cmd/runner/completion_table.ts",
      text: await formatted(await completionTable(), "ts"),
    },
  ];
}

/** Formats a text with `deno fmt`, as the gate's format check expects. */
async function formatted(text: string, ext = "md"): Promise<string> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["fmt", "--ext", ext, "-"],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(text));
  await writer.close();
  const { stdout, code } = await child.output();
  if (code !== 0) throw new Error(`deno fmt ended with code ${code}`);
  return new TextDecoder().decode(stdout);
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}
