/**
 * The token of a checkout, for the time that git may ask for it.
 *
 * It is in a file that only the account can read, in memory if the system has a runtime directory.
 * A small program passes it to git when git asks for exactly this remote. So it is in no argument,
 * no environment and no file of the repository; and a server that redirects to another host makes
 * git ask for that host, and gets nothing.
 *
 * @module
 */
import type { GitRemote } from "@lib/spine/spec/git_url.ts";
import { removeTree } from "@lib/foundations/process/remove_tree.ts";
import { GitFailure } from "@lib/features/checkout/git_failure.ts";

/** Options for {@linkcode openCredentials}. */
export interface CredentialsInput {
  readonly remote: GitRemote;
  /** A token, or `user:token`. */
  readonly secret: string;
  /** For the program; is made, and removed with its content. */
  readonly programDirectory: string;
  /** For the token; is made, and removed with its content. */
  readonly secretDirectory: string;
}

/** The credentials of one remote; disposing removes them from the disk. */
export interface Credentials extends AsyncDisposable {
  /** For `GIT_ASKPASS`. */
  readonly askpass: string;
  /** To be masked in messages. */
  readonly token: string;
  /** The server that gets them: `https://host:port`. */
  readonly origin: string;
}

/**
 * Prepares the token for git.
 *
 * @throws {GitFailure} `token_refused` if the secret cannot be a token.
 */
export async function openCredentials(input: CredentialsInput): Promise<Credentials> {
  const { remote: { origin }, programDirectory, secretDirectory } = input;
  const { user, token } = splitSecret(input.secret, origin);
  await using made = new AsyncDisposableStack();
  for (const directory of [programDirectory, secretDirectory]) {
    // A process that died here may have left its own.
    await removeTree(directory);
    made.defer(() => removeTree(directory));
    await Deno.mkdir(directory, { recursive: true, mode: 0o700 });
  }
  const tokenFile = `${secretDirectory}/token`;
  const askpass = `${programDirectory}/askpass`;
  await Deno.writeTextFile(tokenFile, `${token}\n`, { mode: 0o600, createNew: true });
  await Deno.writeTextFile(askpass, askpassProgram({ origin, user, tokenFile }), {
    mode: 0o700,
    createNew: true,
  });
  const kept = made.move();
  return { askpass, token, origin, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

/** Splits a secret into user and token; a secret without a user gets the one that the host expects. */
export function splitSecret(
  secret: string,
  origin: string,
): { readonly user: string; readonly token: string } {
  const text = secret.trim();
  const [, user, rest] = /^([A-Za-z0-9._~@-]{1,64}):(.+)$/.exec(text) ?? [];
  const token = rest ?? text;
  if (token === "" || /[\p{Cc}\p{Cs}]/u.test(token)) {
    const problem = token === "" ? "empty" : "not a single line";
    throw new GitFailure(
      "token_refused",
      `Cannot check out from ${origin}: the secret is ${problem}; use a token, or user:token`,
    );
  }
  return { user: user ?? usualUser(origin), token };
}

/** Hosts that check only the token accept any name; these are the documented ones. */
function usualUser(origin: string): string {
  const host = origin.replace(/^https?:\/\//, "").toLowerCase();
  if (/gitlab/.test(host)) return "oauth2";
  if (/bitbucket/.test(host)) return "x-token-auth";
  return "x-access-token";
}

/**
 * Makes a program that answers git and Git LFS for one remote only.
 *
 * It compares the whole question, in which git names the host that will get the answer.
 */
function askpassProgram(
  { origin, user, tokenFile }: { origin: string; user: string; tokenFile: string },
): string {
  const [scheme = "", host = ""] = origin.split("://");
  const named = `${scheme}://${user.replaceAll("@", "%40")}@${host}`;
  return `#!/bin/sh
case "$1" in
  ${shellWord(`Username for '${origin}': `)} \\
  | ${shellWord(`Username for "${origin}"`)} | ${shellWord(`Username for "${origin}/`)}*)
    printf '%s\\n' ${shellWord(user)} ;;
  ${shellWord(`Password for '${named}': `)} \\
  | ${shellWord(`Password for "${named}"`)} | ${shellWord(`Password for "${named}/`)}*)
    IFS= read -r answer <${shellWord(tokenFile)} && printf '%s\\n' "$answer" ;;
  *) exit 1 ;;
esac
`;
}

function shellWord(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
