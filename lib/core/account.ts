/**
 * The account that this process runs as.
 *
 * @module
 */
import { homedir, userInfo } from "node:os";

/** An account of this machine. */
export interface Account {
  readonly username: string;
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
  readonly shell: string;
}

/** The lookups of {@linkcode ownAccount}. */
export interface AccountSource {
  /** Throws if the account has no passwd entry. */
  readonly entry: () => Readonly<
    Record<"username" | "homedir" | "shell", string | null> & Record<"uid" | "gid", number>
  >;
  readonly ids: () => { readonly uid: number; readonly gid: number };
}

/**
 * Returns the account of this process.
 *
 * A container may run as a number without a passwd entry (`docker run --user 12345`, OpenShift): the
 * number is its name then, and its home is `$HOME`, else `/`.
 */
export function ownAccount(
  env: Readonly<Record<string, string | undefined>>,
  source: AccountSource = SYSTEM,
): Account {
  const home = env["HOME"];
  const entry = entryOf(source);
  const { uid, gid } = entry ?? source.ids();
  return {
    username: entry?.username || String(uid),
    uid,
    gid,
    home: home?.startsWith("/") ? home : entry?.homedir || "/",
    shell: entry?.shell || "/bin/sh",
  };
}

/**
 * Returns a function that returns the account, which looks it up until there is an entry: where
 * accounts are in a directory service, each lookup takes milliseconds.
 */
export function accountReader(
  env: Readonly<Record<string, string | undefined>>,
  source: AccountSource = SYSTEM,
): () => Account {
  let found: ReturnType<typeof entryOf>;
  const entry = () => {
    found ??= source.entry();
    return found;
  };
  return () => ownAccount(env, { ...source, entry });
}

function entryOf(source: AccountSource) {
  try {
    return source.entry();
  } catch {
    return undefined;
  }
}

/** Returns the home directory without a lookup if `$HOME` names it. */
export function ownHome(env: Readonly<Record<string, string | undefined>>): string {
  // Not a string where the account has no entry, whatever the type says.
  return env["HOME"]?.startsWith("/") ? env["HOME"] : homedir() || "/";
}

const SYSTEM: AccountSource = {
  entry: userInfo,
  ids: () => ({ uid: Deno.uid() ?? 0, gid: Deno.gid() ?? 0 }),
};
