/**
 * `config check` and `config show`.
 *
 * @module
 */
import { CicdError } from "@lib/core/errors.ts";
import {
  renderConfigJson,
  renderConfigYaml,
  renderProblems,
} from "@lib/foundations/config/render.ts";
import type { CliContext } from "@lib/api/client/context.ts";

/** Checks the configuration. */
export async function checkConfig(context: CliContext): Promise<number> {
  const { out, flags } = context;
  try {
    const { file, warnings } = await context.readConfig();
    if (flags.json) await out.json({ ok: true, file: file ?? null, problems: [], warnings });
    else {
      for (const warning of warnings) out.note(`warning: ${warning}`);
      await out.line(`${file ?? "no file, all defaults"}: valid`);
    }
    return 0;
  } catch (error) {
    if (!(error instanceof CicdError) || error.code !== "invalid_config") throw error;
    const problems = renderProblems(error);
    if (flags.json) await out.json({ ok: false, file: null, problems, warnings: [] });
    else for (const problem of problems) console.error(problem);
    return error.entry.exitCode;
  }
}

/** Prints the configuration. @param env Shows or hides the values of jobs' variables. */
export async function showConfig(context: CliContext, env: "shown" | "hidden"): Promise<number> {
  const { out, flags } = context;
  const { config, warnings } = await context.readConfig();
  for (const warning of warnings) out.note(`warning: ${warning}`);
  if (flags.json) await out.json(renderConfigJson(config, { env }));
  else await out.line(renderConfigYaml(config, { env }).trimEnd());
  return 0;
}
