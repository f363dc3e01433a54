/**
 * Finding out under which id the console knows this instance, and telling it what it is.
 *
 * A registration while the console has the instance in state ERROR, as after every lost link, would
 * make a second instance of the same name. So a known instance connects first, which repairs its state,
 * and registers then; only an unknown one registers first.
 *
 * @module
 */
import * as v from "valibot";
import { type Clock, toRfc3339 } from "@lib/core/clock.ts";
import type { Logger } from "@lib/core/logger.ts";
import { VERSION } from "@lib/core/version.ts";
import type { AskConsole } from "@lib/features/console/http.ts";
import type { LinkSettings } from "@lib/features/console/settings.ts";
import { type Fault, faultOfAnswer } from "@lib/features/console/faults.ts";

const INSTANCES = "/api/v1/instances";

const instanceSchema = v.looseObject({
  id: v.optional(v.pipe(v.string(), v.regex(/^[\x21-\x7e]{1,128}$/))),
  region: v.nullish(v.string()),
  extensions: v.nullish(v.array(v.string())),
});

/** An instance as the console has it. */
type Instance = v.InferOutput<typeof instanceSchema>;

/** The id in use. */
export interface Identity {
  readonly id: string;
  /** The console's view of it; `undefined` right after a registration. */
  readonly known: Instance | undefined;
}

/** Keeps the id that the console gave, over restarts. */
export interface IdentityRecord {
  read(): Promise<string | undefined>;
  write(text: string): Promise<void>;
}

/** The means of a registration. */
export interface RegistrationPorts {
  readonly settings: LinkSettings;
  readonly ask: AskConsole;
  readonly record: IdentityRecord;
  readonly clock: Clock;
  readonly log: Logger;
  readonly platform: { readonly os: string; readonly arch: string };
}

const savedSchema = v.object({ url: v.string(), name: v.string(), id: v.string() });

/** Finds the id, by registration if the console knows none. */
export async function identify(
  ports: RegistrationPorts,
  signal: AbortSignal,
): Promise<Identity | Fault> {
  const { settings, ask, clock } = ports;
  const saved = await savedId(ports);
  const candidates = new Set([...(saved === undefined ? [] : [saved]), settings.instanceId]);
  for (const id of candidates) {
    const path = `${INSTANCES}/${encodeURIComponent(id)}`;
    const outcome = await ask({ method: "GET", path, instanceId: id }, signal);
    const isUnknown = outcome.kind === "answer" && outcome.status === 404 &&
      outcome.body !== undefined;
    if (isUnknown) continue;
    const fault = faultOfAnswer(outcome, clock.now());
    if (fault !== undefined) return fault;
    return { id, known: instanceIn(outcome) ?? {} };
  }
  const { fault, id = settings.instanceId } = await register(ports, {
    id: settings.instanceId,
    known: undefined,
  }, signal);
  if (fault !== undefined) return fault;
  if (id !== settings.instanceId) {
    const text = JSON.stringify({ url: settings.url, name: settings.instanceId, id });
    // It is registered: another try would make a second instance.
    await ports.record.write(text).catch((error: unknown) =>
      ports.log.error(
        "Cannot keep the id that the console gave; it is asked again after a restart",
        {
          error,
        },
      )
    );
  }
  return { id, known: undefined };
}

/** Tells the console what this instance is. @returns The id that it gave. */
export async function register(
  { settings, ask, clock, platform }: RegistrationPorts,
  { id, known }: Identity,
  signal: AbortSignal,
): Promise<{ readonly fault?: Fault; readonly id?: string }> {
  const region = settings.region ?? known?.region;
  const extensions = known?.extensions ?? [];
  const outcome = await ask({
    method: "POST",
    path: INSTANCES,
    instanceId: id,
    body: {
      instance_id: id,
      hostname: settings.instanceId,
      provider: settings.provider,
      // What is left out, the console forgets.
      ...(region ? { region } : {}),
      ...(extensions.length === 0 ? {} : { extensions }),
      ...(settings.distro === undefined ? {} : { distro: settings.distro }),
      agent_version: VERSION.slice(0, 64),
      os: platform.os,
      arch: platform.arch,
      ...(Object.keys(settings.tags).length === 0 ? {} : { tags: settings.tags }),
      timestamp: toRfc3339(clock.now()),
    },
  }, signal);
  // It is registered already.
  if (outcome.kind === "answer" && outcome.status === 409) return {};
  const fault = faultOfAnswer(outcome, clock.now());
  if (fault !== undefined) return { fault };
  const given = instanceIn(outcome)?.id;
  return given === undefined ? {} : { id: given };
}

/** Returns the name of a processor architecture as the console has it. */
export function consoleArch(arch: string): string {
  return arch === "x86_64" ? "amd64" : arch === "aarch64" ? "arm64" : arch;
}

async function savedId({ record, settings }: RegistrationPorts): Promise<string | undefined> {
  const text = await record.read();
  try {
    const saved = v.safeParse(savedSchema, JSON.parse(text ?? "null"));
    if (!saved.success) return undefined;
    const { url, name, id } = saved.output;
    return url === settings.url && name === settings.instanceId ? id : undefined;
  } catch {
    // A damaged record is as good as none: the console is asked again.
    return undefined;
  }
}

function instanceIn(outcome: { readonly kind: string; readonly body?: unknown }) {
  const read = v.safeParse(instanceSchema, outcome.body);
  return read.success ? read.output : undefined;
}
