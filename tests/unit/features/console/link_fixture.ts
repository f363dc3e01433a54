/**
 * A console link beside a scripted console.
 *
 * @module
 */
import { ignore } from "@lib/core/errors.ts";
import { ConsoleLink, type LinkPorts } from "@lib/features/console/link.ts";
import type { HostReading } from "@lib/features/console/metrics.ts";
import type { LinkSettings } from "@lib/features/console/settings.ts";
import { Secret } from "@lib/foundations/secrets/secret.ts";
import { FakeClock } from "../../../support/fake_clock.ts";
import { silentLogger } from "../../../support/silent_logger.ts";
import { ScriptedConsole } from "./scripted_console.ts";

/** The settings of the link in tests. */
export const SETTINGS: LinkSettings = {
  kind: "on",
  url: "https://console.example",
  apiKey: new Secret("sk-very-secret"),
  instanceId: "box",
  provider: "ssh",
  region: undefined,
  distro: "ubuntu",
  heartbeatMs: 20_000,
  metricsMs: 60_000,
  usageMs: 30_000,
  tags: {},
  warnings: [],
};

/** Figures with fractions in the kernel's texts, which must not reach the console. */
export function reading(at: number): HostReading {
  return {
    at,
    stat: `cpu  ${100 + at} 0 100 ${800 + at} 0 0 0 0 0 0\n`,
    meminfo: "MemTotal: 1000 kB\nMemFree: 200 kB\nMemAvailable: 400 kB\nCached: 100 kB\n" +
      "SReclaimable: 50 kB\nSwapTotal: 500 kB\nSwapFree: 300 kB\n",
    netDev: "Inter-|\n face |\n  eth0: 10 1 0 0 0 0 0 0 20 2 0 0 0 0 0 0\n" +
      "    lo: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n",
    load: [0.5, 0.25, 0.125],
    cores: 2,
    disks: [{
      mountPoint: "/",
      device: "/dev/vda",
      type: "ext4",
      totalBytes: 1_000.5,
      usedBytes: 250.25,
      freeBytes: 750.25,
    }],
  };
}

/** Starts a link. */
export function startLink(changes: Partial<LinkPorts> = {}, console = new ScriptedConsole()) {
  const clock = new FakeClock(1_700_000_000_000);
  const saved: string[] = [];
  const link = new ConsoleLink({
    settings: SETTINGS,
    ask: console.ask,
    record: {
      read: () => Promise.resolve(saved.at(-1)),
      write: (text) => Promise.resolve(void saved.push(text)),
    },
    platform: { os: "linux", arch: "amd64" },
    dial: console.dial,
    handlers: [],
    reading: () => Promise.resolve(reading(clock.now() - 1_700_000_000_000)),
    usage: () => Promise.resolve(undefined),
    clock,
    log: silentLogger,
    random: () => 0,
    ...changes,
  });
  const stop = new AbortController();
  const running = link.run(stop.signal);
  return {
    link,
    console,
    clock,
    saved,
    async [Symbol.asyncDispose]() {
      stop.abort(new DOMException("The test ends", "AbortError"));
      await running.catch(ignore("it was broken off"));
    },
  };
}
