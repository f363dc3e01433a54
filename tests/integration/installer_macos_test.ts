import assert from "node:assert/strict";

const ROOT = new URL("../../", import.meta.url).pathname;
const TARGET = "aarch64-apple-darwin";
const LABEL = "cicd-toolkit.runner";

/** A release of scripts for macOS, and stand-ins for `uname` and `launchctl`. */
async function setup() {
  const directory = await Deno.makeTempDir({ prefix: "cicd-macos-" });
  await Deno.chmod(directory, 0o755);
  const [release, tools, prefix] = ["release", "tools", "prefix"].map((name) =>
    `${directory}/${name}`
  );
  // Characters that XML and sed read.
  const home = `${directory}/ho&me|<\\1>`;
  const lib = `${release}/lib/cicd-toolkit`;
  for (const path of [`${lib}/units/launchd`, `${release}/bin`, home, `${tools}`]) {
    await Deno.mkdir(path, { recursive: true });
  }
  const facts = JSON.stringify({ version: "1.2.3", deno: "2.9.6", target: TARGET }, null, 2);
  await Deno.writeTextFile(`${lib}/build.json`, `${facts}\n`);
  await Deno.writeTextFile(`${lib}/units/cicd-runner.service`, "");
  const plist = `units/launchd/${LABEL}.plist`;
  await Deno.copyFile(`${ROOT}${plist}`, `${lib}/${plist}`);
  await Deno.copyFile(`${ROOT}install.sh`, `${release}/install.sh`);
  const scripts = {
    [`${release}/bin/cicd-runner`]: `printf '%s\\n' "$*" >>"$CALLS/runner"
case $1 in version) echo '${facts.replaceAll("\n", " ")}' ;; *) echo cicd-runner ;; esac`,
    [`${release}/bin/cicd-agent`]: "exit 0",
    [`${tools}/uname`]: "case $1 in -s) echo Darwin ;; *) echo arm64 ;; esac",
    // Says that the agent is loaded if it was.
    [`${tools}/launchctl`]: `printf '%s\\n' "$*" >>"$CALLS/launchctl"
case $1 in
print) [ -e "$CALLS/loaded" ] ;;
bootstrap) cp "$3" "$CALLS/loaded" ;;
bootout) rm "$CALLS/loaded" ;;
esac`,
  };
  for (const [path, text] of Object.entries(scripts)) {
    await Deno.writeTextFile(path, `#!/bin/sh\n${text}\n`, { mode: 0o755 });
  }
  const read = (path: string) => Deno.readTextFile(path).catch(() => "");
  return {
    home,
    prefix,
    read,
    agent: `${home}/Library/LaunchAgents/${LABEL}.plist`,
    calls: async (program: string) => (await read(`${directory}/${program}`)).split("\n"),
    async install(...args: readonly string[]) {
      const { code, stdout, stderr } = await new Deno.Command("sh", {
        args: [`${release}/install.sh`, ...args, "--prefix", `${prefix}`],
        clearEnv: true,
        env: { PATH: `${tools}:/usr/bin:/bin`, HOME: home, CALLS: directory },
        stdin: "null",
      }).output();
      const decoder = new TextDecoder();
      return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
    },
    [Symbol.asyncDispose]: () => Deno.remove(directory, { recursive: true }),
  };
}

const uid = Deno.uid();

Deno.test("install.sh on macOS installs a launch agent and starts it", async () => {
  await using t = await setup();
  const { code, stderr } = await t.install();
  assert.equal(code, 0, stderr);
  assert.match(stderr, /macOS is untried/);
  const found = await parsePlist(t.agent);
  assert.deepEqual(found.ProgramArguments, [`${t.prefix}/bin/cicd-runner`, "daemon"]);
  assert.equal(found.Label, LABEL);
  assert.equal(found.WorkingDirectory, t.home);
  assert.equal(found.StandardErrorPath, `${t.home}/Library/Logs/cicd-runner.log`);
  assert.match(found.EnvironmentVariables.PATH, /^\/.*\/prefix\/bin:.*:\/usr\/bin:\/bin/);
  assert.ok((await Deno.stat(`${t.home}/Library/Logs`)).isDirectory);
  assert.deepEqual(await t.calls("launchctl"), [
    `print gui/${uid}/${LABEL}`,
    `bootstrap gui/${uid} ${t.agent}`,
    "",
  ]);
  assert.ok(!(await t.calls("runner")).some((call) => call.startsWith("install")));
});

Deno.test("install.sh on macOS restarts the launch agent of an earlier release", async () => {
  await using t = await setup();
  await t.install();
  await t.install();
  assert.deepEqual((await t.calls("launchctl")).slice(2), [
    `print gui/${uid}/${LABEL}`,
    `bootout gui/${uid}/${LABEL}`,
    `bootstrap gui/${uid} ${t.agent}`,
    "",
  ]);
});

Deno.test("install.sh --no-enable and --dry-run on macOS start nothing", async () => {
  await using t = await setup();
  const dry = await t.install("--dry-run");
  assert.equal(dry.code, 0, dry.stderr);
  assert.ok(dry.stdout.includes(`would write: ${t.agent}`), dry.stdout);
  assert.ok(dry.stdout.includes("would run: launchctl bootstrap"), dry.stdout);
  assert.equal(await t.read(t.agent), "");
  assert.equal((await t.install("--no-enable")).code, 0);
  assert.notEqual(await t.read(t.agent), "");
  assert.ok(!(await t.calls("launchctl")).some((call) => call.startsWith("bootstrap")));
});

Deno.test("install.sh --uninstall and --purge on macOS remove the launch agent, then the data", async () => {
  await using t = await setup();
  await t.install();
  const config = `${t.home}/.config/cicd-toolkit/config.yaml`;
  await Deno.mkdir(`${t.home}/.config/cicd-toolkit`, { recursive: true });
  await Deno.writeTextFile(config, "idle_exit: 1h\n");
  const removed = await t.install("--uninstall");
  assert.equal(removed.code, 0, removed.stderr);
  assert.equal(await t.read(t.agent), "");
  assert.equal((await t.calls("launchctl")).at(-2), `bootout gui/${uid}/${LABEL}`);
  assert.equal(await t.read(`${t.prefix}/bin/cicd-runner`), "");
  assert.equal(await t.read(config), "idle_exit: 1h\n");
  assert.equal((await t.install("--purge", "--yes")).code, 0);
  assert.equal(await t.read(config), "");
});

Deno.test("install.sh --system on macOS says that it needs systemd", async () => {
  await using t = await setup();
  const { code, stderr } = await t.install("--system", "--dry-run");
  assert.equal(code, 1);
  assert.match(stderr, /--system needs systemd, which macOS does not have/);
});

/** Reads a property list as Python does, which checks it. */
async function parsePlist(path: string) {
  const program =
    "import json, plistlib, sys; print(json.dumps(plistlib.load(open(sys.argv[1], 'rb'))))";
  const { code, stdout } = await new Deno.Command("python3", { args: ["-c", program, path] })
    .output();
  assert.equal(code, 0, "not a property list");
  return JSON.parse(new TextDecoder().decode(stdout));
}
