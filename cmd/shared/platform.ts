/**
 * The service manager's side of a program: passed sockets and notifications.
 *
 * A runner loads this before it looks at the request that woke it, so it imports little.
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
import { KEPT_PREFIX, type ListenFd, takeListenFds } from "@lib/foundations/systemd/listen_fds.ts";
import { createNotifier, type Notifier } from "@lib/foundations/systemd/notify.ts";

/** The means that a program gets from its service manager. */
export interface Platform {
  readonly notifier: Notifier;
  /** Passed sockets; none without a service manager. */
  readonly listenFds: readonly PassedSocket[];
  /** Descriptors that an earlier process of the unit has given to the manager to keep. */
  readonly keptFds: readonly ListenFd[];
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
  const setCloseOnExec = (fd: number) => {
    // Elsewhere nothing passes sockets, and the runtime keeps those that it opens from children.
    if (Deno.build.os === "linux") libc.setCloseOnExec(fd);
  };
  const isService = Deno.env.has("NOTIFY_SOCKET") || Deno.env.has("LISTEN_FDS");
  const notifier = createNotifier({
    env: Deno.env,
    pid: Deno.pid,
    clock: systemClock,
    send: (address, bytes) => libc.sendDatagram(address, bytes),
    sendDescriptor: (address, bytes, fd) => libc.sendDescriptor(address, bytes, fd),
    monotonicMicros: () => libc.monotonicMicros(),
  });
  const passed = takeListenFds({ env: Deno.env, pid: Deno.pid, setCloseOnExec });
  const isKept = ({ name }: ListenFd) => name.startsWith(KEPT_PREFIX);
  const listenFds = passed.filter((one) => !isKept(one))
    .map((socket) => ({ ...socket, isUnix: libc.isUnixSocket(socket.fd) }));
  return {
    notifier,
    listenFds,
    keptFds: passed.filter(isKept),
    isService: isService || listenFds.length > 0,
    setCloseOnExec,
    acceptWaiting: (fd, maxBytes) => libc.acceptWaiting(fd, maxBytes),
    openJournal: () => createJournalWriter(libc.openDatagramSocket(JOURNAL_SOCKET)),
  };
}
