/**
 * The commands about API keys.
 *
 * @module
 */
import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { multiple, optional } from "@optique/core/modifiers";
import { argument, option } from "@optique/core/primitives";
import { choice, string } from "@optique/core/valueparser";
import { formatDuration } from "@lib/core/duration.ts";
import { SCOPES } from "@lib/core/caller.ts";
import { type Command, commandGroup, defineCommand } from "@lib/api/client/command.ts";
import type { CliContext } from "@lib/api/client/context.ts";
import { ago, oneLine, type Painter } from "@lib/api/client/format.ts";
import {
  createKey,
  type IssuedKeyAnswer,
  type KeyAnswer,
  listKeys,
  revokeKey,
  rotateKey,
} from "@lib/features/access/client.ts";
import { duration, projectName } from "@lib/foundations/cli/grammar_values.ts";
import { renderTable } from "@lib/foundations/cli/table.ts";

const create = defineCommand({
  name: "create",
  brief: message`Create a key; it is printed once, on standard output`,
  examples: ["cicd-runner keys create --name CI --scope submit --project web --expires 90d"],
  flags: (completer) =>
    object({
      name: option("--name", string({ metavar: "NAME" }), {
        description: message`Describes the key's holder`,
      }),
      scopes: multiple(
        option("--scope", choice(SCOPES, { metavar: "SCOPE" }), {
          description: message`Scope it allows: submit, read, terminal or admin; may be repeated`,
        }),
        {
          min: 1,
          errors: { tooFew: message`Give a scope: --scope submit, read, terminal or admin.` },
        },
      ),
      projects: multiple(option("-p", "--project", projectName(completer), {
        description: message`Restricts it to this project; may be repeated; default: all`,
      })),
      expires: optional(option("--expires", duration(), {
        description: message`Lifetime, such as 90d; default: until revoked`,
      })),
    }),
  async run({ name, scopes, projects, expires }, context) {
    using runner = await context.connect();
    const request = {
      name,
      scopes,
      projects: projects.length === 0 ? undefined : projects,
      expires_in: expires === undefined ? undefined : Math.ceil(expires / 1_000),
    };
    await print(context, await createKey(runner, request, context.signal));
    return 0;
  },
});

const list = defineCommand({
  name: "list",
  brief: message`List keys, without the keys themselves`,
  examples: ["cicd-runner keys list"],
  flags: () => object({}),
  async run(_flags, { connect, out, flags, paint, clock, signal }) {
    using runner = await connect();
    const found = await listKeys(runner, signal);
    if (flags.json) { for (const key of found) await out.json(key); }
    else if (found.length === 0) {
      out.note("there are no keys; 'cicd-runner keys create' creates one");
    } else for (const line of await renderKeys(found, clock.now(), paint)) await out.line(line);
    return 0;
  },
});

const rotate = defineCommand({
  name: "rotate",
  brief: message`Replace the secret of a key; it is printed once, on standard output`,
  examples: ["cicd-runner keys rotate 0f1e2d3c4b5a6978 --overlap 1d"],
  flags: () =>
    object({
      id: keyId(),
      overlap: optional(option("--overlap", duration(), {
        description: message`How long the old secret remains valid; default: not at all`,
      })),
    }),
  async run({ id, overlap = 0 }, context) {
    using runner = await context.connect();
    await print(context, await rotateKey(runner, { id, overlapMs: overlap }, context.signal));
    context.out.note(
      overlap === 0
        ? "the old key is no longer valid"
        : `the old key remains valid for ${formatDuration(overlap)}`,
    );
    return 0;
  },
});

const revoke = defineCommand({
  name: "revoke",
  brief: message`Revoke a key permanently`,
  examples: ["cicd-runner keys revoke 0f1e2d3c4b5a6978"],
  flags: () => object({ id: keyId() }),
  async run({ id }, { connect, out, flags, signal }) {
    using runner = await connect();
    const key = await revokeKey(runner, id, signal);
    if (flags.json) await out.json(key);
    else await out.line(`Revoked ${oneLine(key.name)} (${key.id})`);
    return 0;
  },
});

/** The commands about API keys. */
export const commands: readonly Command[] = [
  commandGroup({
    name: "keys",
    brief: message`Manage the keys for access to the runner over TCP`,
    examples: ["cicd-runner keys create --name CI --scope submit --project web"],
    commands: [create, list, rotate, revoke],
    noMatch: message`Give a command: keys create, list, rotate or revoke.`,
  }),
];

function keyId() {
  return argument(string({ metavar: "ID" }), {
    description: message`Id of the key; see keys list`,
  });
}

/** Prints the key alone on standard output, so that it can be piped to a secret store. */
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
    "it is shown only once; keep it secret, and send it as 'Authorization: Bearer KEY'",
  );
  await out.line(key);
}

/** Renders keys, a line each. */
function renderKeys(found: readonly KeyAnswer[], now: number, paint: Painter) {
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
        paint: (text) => paint(isValid(key, now) ? "good" : "faint", text),
      },
    ]),
    paintTitle: (text) => paint("faint", text),
  });
}

function isValid({ revoked_at, expires_at }: KeyAnswer, now: number): boolean {
  return revoked_at === null && (expires_at === null || Date.parse(expires_at) > now);
}

function stateOf(key: KeyAnswer, now: number): string {
  if (key.revoked_at !== null) return `revoked ${ago(key.revoked_at, now)}`;
  if (key.expires_at === null) return "valid";
  return isValid(key, now)
    ? `valid until ${key.expires_at}`
    : `expired ${ago(key.expires_at, now)}`;
}
