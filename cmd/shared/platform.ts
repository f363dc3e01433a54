/**
 * The service manager's side of a program: passed sockets, notifications, and the journal.
 *
 * @module
 */
import type { PassedSocket } from "@lib/api/listeners.ts";
import type { ValuesOf } from "@lib/foundations/config/key.ts";
import type { LOG } from "@lib/foundations/config/program_keys.ts";
import { chooseColour, chooseFormat } from "@lib/foundations/log/choose_format.ts";
import { openLineWriter } from "@lib/foundations/log/line_writer.ts";
import { type Log, openLog } from "@lib/foundations/log/log.ts";
import { statIfThere } from "@lib/foundations/files/records.ts";
import { systemClock } from "@lib/core/clock.ts";
import {
  createJournalWriter,
  JOURNAL_SOCKET,
  type JournalWriter,
} from "@lib/foundations/systemd/journal.ts";
import { Libc } from "@lib/foundations/systemd/libc.ts";
import { takeListenFds } from "@lib/foundations/systemd/listen_fds.ts";
import { createNotifier, type Notifier } from "@lib/foundations/systemd/notify.ts";

/** The means that a program gets from its service manager. */
export interface Platform {
  readonly notifier: Notifier;
  /** Passed sockets; none without a service manager. */
  readonly listenFds: readonly PassedSocket[];
  /** A service manager started this process. */
  readonly isService: boolean;
  /** Keeps a descriptor from every child. */
  readonly setCloseOnExec: (fd: number) => void;
  /** Accepts a connection if one waits at a passed socket; see {@linkcode Libc.acceptWaiting}. */
  readonly acceptWaiting: Libc["acceptWaiting"];
  /** Opens a writer of native journal entries. */
  openJournal(): JournalWriter;
}

/**
 * Takes the passed sockets and variables out of the environment, so that no child gets them.
 *
 * @throws {CicdError} If they are malformed.
 */
export function takePlatform(): Platform {
  const libc = new Libc();
  const setCloseOnExec = (fd: number) => libc.setCloseOnExec(fd);
  const isService = Deno.env.has("NOTIFY_SOCKET") || Deno.env.has("LISTEN_FDS");
  const notifier = createNotifier({
    env: Deno.env,
    pid: Deno.pid,
    clock: systemClock,
    send: (address, bytes) => libc.sendDatagram(address, bytes),
    monotonicMicros: () => libc.monotonicMicros(),
  });
  const listenFds = takeListenFds({
    env: Deno.env,
    pid: Deno.pid,
    setCloseOnExec,
  }).map((socket) => ({ ...socket, isUnix: libc.isUnixSocket(socket.fd) }));
  return {
    notifier,
    listenFds,
    isService: isService || listenFds.length > 0,
    setCloseOnExec,
    acceptWaiting: (fd, maxBytes) => libc.acceptWaiting(fd, maxBytes),
    openJournal: () => createJournalWriter(libc.openDatagramSocket(JOURNAL_SOCKET)),
  };
}

/** Tells if a `systemd --user` serves this account. */
export async function hasUserManager(
  env: Readonly<Record<string, string | undefined>>,
): Promise<boolean> {
  const runtimeDir = env["XDG_RUNTIME_DIR"];
  if (runtimeDir === undefined) return false;
  return (await statIfThere(`${runtimeDir}/systemd/private`))?.isSocket === true;
}

/** Options for {@linkcode openProgramLog}. */
interface ProgramLogOptions {
  readonly config: ValuesOf<typeof LOG.keys>;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly openJournal: Platform["openJournal"];
  /** Name in the journal. @default {program} */
  readonly identifier?: string;
}

/** Opens the log of `program` as configured. */
export function openProgramLog(program: string, options: ProgramLogOptions): Log {
  const { config, env, openJournal, identifier } = options;
  const isTerminal = Deno.stderr.isTerminal();
  const situation = { format: config.format, hasJournal: hasJournalSocket(), isTerminal, env };
  const format = chooseFormat(situation);
  const journal = format === "journal" ? openJournal() : undefined;
  return openLog({
    program,
    ...(identifier === undefined ? {} : { identifier }),
    level: config.level,
    format,
    colour: chooseColour(situation),
    stderr: openLineWriter({ write: (bytes) => Deno.stderr.write(bytes) }),
    ...(journal === undefined ? {} : {
      journal(fields) {
        // An entry that the journal does not take at once goes to stderr, which the manager reads.
        if (!journal.write(Object.fromEntries(fields))) throw new Error("The journal is busy");
      },
    }),
  });
}

function hasJournalSocket(): boolean {
  try {
    return Deno.statSync("/run/systemd/journal/socket").isSocket === true;
  } catch {
    // A socket that cannot be examined cannot be used, either.
    return false;
  }
}
