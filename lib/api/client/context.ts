/**
 * The context of a command.
 *
 * @module
 */
import { resolve } from "node:path";
import { type Clock, systemClock } from "@lib/core/clock.ts";
import type { Section } from "@lib/foundations/config/config.ts";
import type { ReadConfigResult } from "@lib/foundations/config/read.ts";
import { Reconnect } from "@lib/api/client/reconnect.ts";
import { RunnerTransport } from "@lib/api/client/transport.ts";
import { openOutput, type Output } from "@lib/api/client/output.ts";
import { type Painter, painter } from "@lib/api/client/format.ts";

/** The flags that every command takes. */
export interface GlobalFlags {
  readonly socket: string | undefined;
  /** Address of a remote runner. */
  readonly url: string | undefined;
  readonly config: string | undefined;
  readonly json: boolean;
}

/** The means of a command. */
export interface CliContext {
  readonly flags: GlobalFlags;
  readonly env: Readonly<Record<string, string>>;
  readonly out: Output;
  readonly paint: Painter;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Loads what there is to configure. */
  sections(): Promise<readonly Section[]>;
  /** @throws {CicdError} `invalid_config` */
  readConfig(): Promise<ReadConfigResult>;
  /** Makes what requests are sent with; it connects when it is used. */
  connect(): Promise<RunnerTransport>;
  /** Makes the policy of going on after the connection broke, with notes on standard error. */
  reconnect(signal?: AbortSignal, giveUpAfterMs?: number): Reconnect;
}

/** Makes the context of this process. */
export function openContext(
  flags: GlobalFlags,
  { sections, signal }: Pick<CliContext, "sections" | "signal">,
): CliContext {
  const env = Deno.env.toObject();
  const out = openOutput(env);
  const readConfigHere = async () => {
    // A socket that is named needs no configuration.
    const { readConfig } = await import("@lib/foundations/config/read.ts");
    return await readConfig({
      sections: await sections(),
      env,
      signal,
      ...(flags.config === undefined ? {} : { path: flags.config }),
      ...(flags.socket === undefined
        ? {}
        : { flags: new Map([["socket", resolve(flags.socket)]]) }),
    });
  };
  const configuredSocket = async () => {
    const { PROGRAM } = await import("@lib/foundations/config/program_keys.ts");
    return (await readConfigHere()).config.of(PROGRAM).socket;
  };
  const connect = async () => {
    // What is named on the command line goes before what the environment says.
    const url = flags.url ??
      (flags.socket === undefined ? env["CICD_URL"] || undefined : undefined);
    if (url !== undefined) {
      const { openRemote } = await import("@lib/api/client/remote.ts");
      return await openRemote(url, env);
    }
    const socketPath = namedSocket(flags, env) ?? await configuredSocket();
    const { UnixClient } = await import("@lib/foundations/http/unix_client.ts");
    const sender = new UnixClient(socketPath);
    return new RunnerTransport({ sender, socketPath });
  };
  return {
    flags,
    env,
    out,
    paint: painter(out.isColoured),
    clock: systemClock,
    signal,
    sections,
    readConfig: readConfigHere,
    connect,
    reconnect: (own = signal, giveUpAfterMs) =>
      new Reconnect({
        clock: systemClock,
        signal: own,
        onLost: () => out.note("the runner is away; trying again"),
        onFound: () => out.note("the runner is back"),
        ...(giveUpAfterMs === undefined ? {} : { giveUpAfterMs }),
      }),
  };
}

function namedSocket(
  { socket, config }: GlobalFlags,
  env: Readonly<Record<string, string>>,
): string | undefined {
  if (socket !== undefined) return resolve(socket);
  const named = env["CICD_SOCKET"];
  return config === undefined && named?.startsWith("/") ? named : undefined;
}
