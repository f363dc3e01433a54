/**
 * The service manager's side of a program: what it passed on, and how it is
 * told of the program's state.
 *
 * @module
 */
import type { PassedSocket } from "@lib/api/listeners.ts";
import { systemClock } from "@lib/core/clock.ts";
import {
  createJournalWriter,
  JOURNAL_SOCKET,
  type JournalWriter,
} from "@lib/foundations/systemd/journal.ts";
import { Libc } from "@lib/foundations/systemd/libc.ts";
import { takeListenFds } from "@lib/foundations/systemd/listen_fds.ts";
import { createNotifier, type Notifier } from "@lib/foundations/systemd/notify.ts";

/** What a program gets from its service manager. */
export interface Platform {
  readonly notifier: Notifier;
  /** Sockets that were passed on; none without a service manager. */
  readonly listenFds: readonly PassedSocket[];
  /** Whether a service manager started this process. */
  readonly isService: boolean;
  /** Keeps a descriptor from every child. */
  readonly setCloseOnExec: (fd: number) => void;
  /** Makes a writer of native journal entries. */
  openJournal(): JournalWriter;
}

/**
 * Takes what the service manager passed on out of the environment, so that no child gets it.
 *
 * @throws {CicdError} If it is malformed.
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
    openJournal: () => createJournalWriter(libc.openDatagramSocket(JOURNAL_SOCKET)),
  };
}
