/**
 * A stand-in for macOS: this machine without `/proc`, `/sys`, `/run`, the GNU C library's name and
 * the programs of util-linux, and a runtime that says it is for macOS.
 *
 * It shows what needs Linux. It is no proof that the rest works on macOS.
 *
 * @module
 */
import { whyMissing, whyNoMounts } from "./host_programs.ts";

/** What the runtime says there. */
const PRELOAD = `
const facts = { os: "darwin", vendor: "apple", arch: "aarch64", target: "aarch64-apple-darwin" };
Object.defineProperty(Deno, "build", { value: Object.freeze({ ...Deno.build, ...facts }) });
const open = Deno.dlopen;
Deno.dlopen = (name, symbols) => {
  if (/libc[.]so/.test(name)) throw new Error("dlopen(" + name + "): no such file");
  return open(name, symbols);
};
`;

/** Programs of Linux alone. */
const LINUX_ONLY = ["setsid", "unshare", "nsenter", "systemctl", "systemd-run", "busctl"];

/** Runs its arguments after the second there; the first is a directory, the second the runtime. */
const ENTER = `
set -eu
place=$1 runtime=$2
shift 2
mkdir "$place/proc" "$place/dev"
mount -t proc proc "$place/proc"
mount -t tmpfs none "$place/dev"
for name in null zero random urandom tty ptmx; do
  : >"$place/dev/$name"
  mount --bind "/dev/$name" "$place/dev/$name"
done
# Linux' ps reads /proc; as on macOS, nothing else is to.
cp "$(command -v unshare)" "$place/unshare"
cp "$(command -v ps)" "$place/real-ps"
cat >"$place/ps" <<SCRIPT
#!/bin/sh
exec "$place/unshare" --mount -- sh -c 'mount --bind "$place/proc" /proc && exec "$place/real-ps" "\\$@"' ps "\\$@"
SCRIPT
chmod +x "$place/ps"
for path in /usr/bin/ps /bin/ps; do
  [ ! -e "$path" ] || mount --bind "$place/ps" "$path"
done
ln -s "$place/proc/self/fd" "$place/dev/fd"
ln -s /dev/fd/0 "$place/dev/stdin"
ln -s /dev/fd/1 "$place/dev/stdout"
ln -s /dev/fd/2 "$place/dev/stderr"
for name in ${LINUX_ONLY.join(" ")}; do
  for path in /usr/bin/$name /usr/sbin/$name; do
    [ ! -e "$path" ] || mount --bind /dev/null "$path"
  done
done
mount --bind "$place/dev" /dev
for path in /proc /sys /run; do mount -t tmpfs none "$path"; done
# The runtime looks here for its own path.
mkdir /proc/self
ln -s "$runtime" /proc/self/exe
exec "$@"
`;

/** Says why there can be no stand-in here; `undefined` if there can. */
export async function whyNoStandIn(): Promise<string | undefined> {
  if (Deno.build.os !== "linux") return "this is not Linux";
  if (Deno.uid() !== 0) return "only root can hide /proc";
  return await whyMissing([["unshare", "util-linux"]]) ?? await whyNoMounts();
}

/** Opens a stand-in. Disposing removes its files. */
export async function openStandIn(): Promise<DarwinStandIn> {
  const directory = await Deno.makeTempDir({ prefix: "darwin-" });
  await Deno.mkdir(`${directory}/home`);
  await Deno.writeTextFile(`${directory}/preload.js`, PRELOAD);
  // The programs start agents with the runtime's path, and say "run" first.
  const runtime =
    `#!/bin/sh\nshift\nexec '${Deno.execPath()}' run --preload='${directory}/preload.js' "$@"\n`;
  await Deno.writeTextFile(`${directory}/deno`, runtime, { mode: 0o755 });
  return new DarwinStandIn(directory);
}

/** A stand-in; see {@linkcode openStandIn}. */
export class DarwinStandIn implements AsyncDisposable {
  readonly directory: string;

  /** Use {@linkcode openStandIn}. */
  constructor(directory: string) {
    this.directory = directory;
  }

  /** Starts a TypeScript program of this tree there. */
  spawn(file: string, args: readonly string[]): Deno.ChildProcess {
    const place = Deno.makeTempDirSync({ dir: this.directory });
    const runtime = `${this.directory}/deno`;
    const flags = ["run", "--quiet", "--allow-all", file];
    const words = ["sh", "-c", ENTER, "sh", place, runtime, runtime, ...flags, ...args];
    return new Deno.Command("unshare", {
      args: ["--mount", "--", ...words],
      clearEnv: true,
      env: {
        PATH: "/usr/bin:/bin:/usr/sbin:/sbin",
        HOME: `${this.directory}/home`,
        DENO_NO_UPDATE_CHECK: "1",
        ...cacheOf(),
      },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
  }

  /** Runs a program there to its end. */
  async run(
    file: string,
    args: readonly string[],
  ): Promise<{ readonly code: number; readonly stdout: string; readonly stderr: string }> {
    const { code, stdout, stderr } = await this.spawn(file, args).output();
    const decoder = new TextDecoder();
    return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.directory, { recursive: true });
  }
}

/** The runtime's cache has the compiled sources. */
function cacheOf(): Readonly<Record<string, string>> {
  const home = Deno.env.get("HOME") ?? "";
  return { DENO_DIR: Deno.env.get("DENO_DIR") ?? `${home}/.cache/deno` };
}
