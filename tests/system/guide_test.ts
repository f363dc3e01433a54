import assert from "node:assert/strict";
import { systemClock } from "@lib/core/clock.ts";
import { bootMachine, type Machine } from "../support/machine.ts";
import { putRelease } from "../support/release.ts";

/** The units of a deployment guide that was written before this product. */
const RUNNER = `[Unit]
Description=CICD AI Toolkit Runner
After=network.target

[Service]
Type=simple
Restart=always
RestartSec=5

# Resource limits (cgroups)
CPUQuota=50%
MemoryMax=1G

# Environment
Environment="PATH=/usr/local/bin:/usr/bin:/bin"
Environment="CLAUDE_CONFIG_DIR=%h/.config/cicd-toolkit"

# ExecStart
ExecStart=/usr/local/bin/cicd-runner daemon --config %h/.config/cicd-toolkit/config.yaml

# Logging
StandardOutput=journal
StandardError=journal
SyslogIdentifier=cicd-runner

[Install]
WantedBy=default.target
`;
const AGENT = `[Unit]
Description=CICD Agent for %i
After=network.target

[Service]
Type=simple
Restart=always
RestartSec=3

# Resource limits per instance
CPUQuota=25%
MemoryMax=512M

# Session-specific config
Environment="SESSION_ID=%i"
Environment="CLAUDE_CONFIG_DIR=%h/.config/cicd-toolkit/%i"

ExecStart=/usr/local/bin/cicd-runner agent \\
    --session-id %i \\
    --config %h/.config/cicd-toolkit/config.yaml

StandardOutput=journal
StandardError=journal
SyslogIdentifier=cicd-agent-%i

[Install]
WantedBy=default.target
`;
const SOCKET = `[Unit]
Description=CICD Runner Socket

[Socket]
ListenStream=/run/user/%U/cicd-runner.sock
SocketMode=0600
Accept=yes

[Install]
WantedBy=sockets.target
`;
const CONNECTION = `[Unit]
Description=CICD Runner (socket-activated)
Requires=cicd-runner.socket

[Service]
ExecStart=/usr/local/bin/cicd-runner --socket-activation
StandardInput=socket
`;
const DROP_IN = `[Service]
CPUWeight=100
MemorySwapMax=256M
LimitNOFILE=65536
LimitNPROC=4096
`;

const user = "dev";
const UNITS = "/home/dev/.config/systemd/user";
const BODY = JSON.stringify({ project: "myapp", script: "echo seen; exit 3" });
const JOB = [
  "curl",
  "-sN",
  "--max-time",
  "60",
  "--unix-socket",
  "/run/user/1000/cicd-runner.sock",
  "http://localhost/v1/jobs?follow=1",
  "-d",
  BODY,
];
const WITHIN_MS = 60_000;

async function until(machine: Machine, argv: readonly string[], wanted: RegExp): Promise<void> {
  const deadline = systemClock.now() + WITHIN_MS;
  for (;;) {
    const { stdout, stderr } = await machine.exec(argv, { user });
    if (wanted.test(stdout)) return;
    assert.ok(systemClock.now() < deadline, `${argv.join(" ")}: ${stdout}${stderr}`);
    await systemClock.sleep(300);
  }
}

Deno.test("the systemd guide works word for word, with one copied program", async (t) => {
  const directory = await Deno.makeTempDir({ prefix: "cicd-guide-" });
  try {
    await Deno.chmod(directory, 0o755);
    await putRelease(`${directory}/dist`, {
      knowsItsPlace: true,
      signal: AbortSignal.timeout(300_000),
    });
    await using machine = await bootMachine({
      binds: [{ host: directory, machine: directory }],
    });
    const write = async (name: string, stdin: string) => {
      await machine.run(["mkdir", "-p", `${UNITS}/${name}`.replace(/\/[^/]*$/, "")], { user });
      await machine.run(["tee", `${UNITS}/${name}`], { user, stdin });
    };
    const systemctl = (...args: readonly string[]) =>
      machine.run(["systemctl", "--user", ...args], { user });
    await machine.run(["cp", `${directory}/dist/bin/cicd-runner`, "/usr/local/bin/"]);
    await machine.run(["chmod", "+x", "/usr/local/bin/cicd-runner"]);

    await t.step("the service runs jobs without a configuration file", async () => {
      await write("cicd-runner.service", RUNNER);
      await write("cicd-runner.service.d/limits.conf", DROP_IN);
      await systemctl("daemon-reload");
      await systemctl("enable", "cicd-runner.service");
      await systemctl("start", "cicd-runner.service");
      await until(machine, JOB, /^seen\ncicd-result state=failed exit_code=3 /);
    });

    await t.step("an instance of the agent's template is found in the journal", async () => {
      await write("cicd-agent@.service", AGENT);
      await systemctl("daemon-reload");
      await systemctl("start", "cicd-agent@other.service");
      await until(machine, ["journalctl", "--user", "-t", "cicd-agent-other"], /Ready/);
      assert.match(await systemctl("list-units", "cicd-agent@*"), /cicd-agent@other\.service/);
    });

    await t.step("the socket starts a process for each connection", async () => {
      await systemctl("disable", "--now", "cicd-runner.service");
      await write("cicd-runner.socket", SOCKET);
      await write("cicd-runner@.service", CONNECTION);
      await systemctl("daemon-reload");
      await systemctl("enable", "--now", "cicd-runner.socket");
      await until(machine, JOB, /^seen\ncicd-result state=failed exit_code=3 /);
    });
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
