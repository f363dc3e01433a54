/**
 * How this installation runs its own programs.
 *
 * @module
 */
import { dirname } from "node:path";
import { fromFileUrl } from "@lib/core/file_url.ts";

/** The command of the agent program, to be followed by its arguments. */
export function agentCommand(execPath: string, mainModule: string): readonly string[] {
  const layout = layoutOf(execPath, mainModule);
  switch (layout.kind) {
    case "source":
      return [execPath, "run", "--quiet", "--allow-all", `${layout.root}/cmd/agent/main.ts`];
    case "shared-runtime":
      return [`${layout.prefix}/bin/cicd-agent`];
    case "executable":
      return [`${dirname(execPath)}/cicd-agent`];
  }
}

/** How the running program was built, and where its parts lie. */
export type ProgramLayout =
  | { readonly kind: "source"; readonly root: string }
  | { readonly kind: "shared-runtime"; readonly prefix: string }
  | { readonly kind: "executable" };

/** Tells the layout from where the program lies. */
export function layoutOf(execPath: string, mainModule: string): ProgramLayout {
  if (!/\/deno$/.test(execPath)) return { kind: "executable" };
  const main = fromFileUrl(mainModule);
  const source = /^(.*)\/cmd\/[a-z]+\/main\.ts$/.exec(main)?.[1];
  if (source !== undefined) return { kind: "source", root: source };
  return { kind: "shared-runtime", prefix: dirname(dirname(dirname(main))) };
}
