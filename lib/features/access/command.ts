/**
 * `keys`.
 *
 * @module
 */
import { assertNever } from "@lib/core/assert_never.ts";
import { formatDuration } from "@lib/core/duration.ts";
import {
  createKey,
  type IssuedKeyAnswer,
  type KeyAnswer,
  listKeys,
  revokeKey,
  rotateKey,
} from "@lib/features/access/client.ts";
import type { CliContext } from "@lib/api/client/context.ts";
import { ago, oneLine, type Painter } from "@lib/api/client/format.ts";
import type { InvocationOf } from "../../../cmd/runner/commands/grammar.ts";
import { renderTable } from "@lib/foundations/cli/table.ts";

/** Makes, lists, rotates or revokes API keys. */
export async function keys(invocation: InvocationOf<"keys">, context: CliContext): Promise<number> {
  const { out, flags, paint, clock, signal } = context;
  using transport = await context.transport();
  switch (invocation.verb) {
    case "create": {
      const { name, scopes, projects, expires } = invocation;
      const issued = await createKey(transport, {
        name,
        scopes,
        ...(projects.length === 0 ? {} : { projects }),
        ...(expires === undefined ? {} : { expires_in: Math.ceil(expires / 1_000) }),
      }, signal);
      await print(context, issued);
      return 0;
    }
    case "rotate": {
      const { id, overlap = 0 } = invocation;
      await print(context, await rotateKey(transport, { id, overlapMs: overlap }, signal));
      out.note(
        overlap === 0
          ? "the key before is no good any more"
          : `the key before is good for another ${formatDuration(overlap)}`,
      );
      return 0;
    }
    case "revoke": {
      const key = await revokeKey(transport, invocation.id, signal);
      if (flags.json) await out.json(key);
      else await out.line(`Revoked ${oneLine(key.name)} (${key.id})`);
      return 0;
    }
    case "list": {
      const found = await listKeys(transport, signal);
      if (flags.json) { for (const key of found) await out.json(key); }
      else if (found.length === 0) {
        out.note("there are no keys; 'cicd-runner keys create' makes one");
      } else {
        const lines = renderKeys(found, { now: clock.now(), paint });
        for (const line of lines) await out.line(line);
      }
      return 0;
    }
    default:
      return assertNever(invocation);
  }
}

/** The key alone on standard output, so that it can be piped to where it is kept. */
async function print({ out, flags }: CliContext, issued: IssuedKeyAnswer): Promise<void> {
  if (flags.json) return await out.json(issued);
  const { name, id, scopes, projects, expires_at, key } = issued;
  out.note(
    `key ${oneLine(name)} (${id}): ${scopes.join(", ")} for ` +
      `${projects?.join(", ") ?? "all projects"}${
        expires_at === null ? "" : `, until ${expires_at}`
      }`,
  );
  out.note(
    "it is shown this once; keep it as a secret, and send it as 'Authorization: Bearer KEY'",
  );
  await out.line(key);
}

/** Renders keys, a line each. */
export function renderKeys(
  found: readonly KeyAnswer[],
  { now, paint }: { readonly now: number; readonly paint: Painter },
): readonly string[] {
  return renderTable({
    columns: [
      { title: "ID" },
      { title: "NAME" },
      { title: "SCOPES" },
      { title: "PROJECTS" },
      { title: "LAST USED" },
      { title: "STATE" },
    ],
    rows: found.map((key) => [
      key.id,
      oneLine(key.name),
      key.scopes.join(","),
      key.projects?.join(",") ?? "all",
      key.last_used_at === null ? "never" : ago(key.last_used_at, now),
      {
        text: stateOf(key, now),
        paint: (text) => paint(isGood(key, now) ? "good" : "faint", text),
      },
    ]),
    paintTitle: (text) => paint("faint", text),
  });
}

function isGood({ revoked_at, expires_at }: KeyAnswer, now: number): boolean {
  return revoked_at === null && (expires_at === null || Date.parse(expires_at) > now);
}

function stateOf(key: KeyAnswer, now: number): string {
  if (key.revoked_at !== null) return `revoked ${ago(key.revoked_at, now)}`;
  if (key.expires_at === null) return "good";
  return isGood(key, now) ? `good until ${key.expires_at}` : `expired ${ago(key.expires_at, now)}`;
}
