/**
 * How long a job takes from being asked for to its first instruction.
 *
 * @module
 */
import { UserManager } from "@lib/systemd/manager.ts";
import { parseUnitName } from "@lib/systemd/unit_name.ts";
import { unitProperty } from "@lib/systemd/unit_property.ts";
import type { Comparison } from "../report.ts";
import { Fifo } from "./fifo.ts";
import type { Bench } from "./main.ts";
import { PROJECT, rest } from "./product.ts";
import { launch, LIMIT_FLAGS, LIMITS } from "./programs.ts";

const SYSTEMD_RUN = ["systemd-run", "--user", "--wait", "--collect", "--quiet"] as const;
const JSON_HEADER = ["--header", "Content-Type: application/json"] as const;

/** Measures a limited job against `systemd-run`, on a kept connection and as one process a job. */
export async function measureStart(bench: Bench): Promise<readonly Comparison[]> {
  const { product, quick, say, signal } = bench;
  using fifo = await Fifo.make();
  await using manager = await UserManager.connect({ env: Deno.env.toObject(), signal });
  const command = ["/bin/sh", "-c", `echo >${fifo.path}`] as const;
  const job = JSON.stringify({ project: PROJECT, command, limits: LIMITS });
  const submitted: number[] = [];
  const accepted: number[] = [];
  const floor: number[] = [];

  const ours = async () => {
    const first = fifo.arrival();
    const asked = performance.now();
    const id = await product.submit({ command, limits: LIMITS }, signal);
    const answered = performance.now();
    const arrived = await first;
    submitted.push(arrived - asked);
    accepted.push(arrived - answered);
    await product.ended(id, signal);
  };
  const bareCall = async (count: number) => {
    const unit = parseUnitName(`bench-bare-${count}.service`);
    if (unit === undefined) throw new Error("The unit's name is none");
    const gone = Promise.withResolvers<void>();
    using _ = manager.onUnitRemoved((name) => name === unit && gone.resolve());
    const first = fifo.arrival();
    const asked = performance.now();
    await manager.startTransientService(unit, [
      unitProperty.type("exec"),
      unitProperty.collectMode("inactive-or-failed"),
      unitProperty.memoryMax(256 * 2 ** 20),
      unitProperty.cpuQuota(1),
      unitProperty.tasksMax(64),
      unitProperty.execStart({ argv: command }),
    ], signal);
    floor.push(await first - asked);
    await gone.promise;
  };
  const process = async (into: number[], argv: readonly [string, ...string[]]) => {
    const first = fifo.arrival();
    const asked = performance.now();
    const child = launch(...argv);
    into.push(await first - asked);
    await child.status;
  };
  const curl: number[] = [];
  const limited: number[] = [];
  const unlimited: number[] = [];
  const rounds = quick ? 25 : 200;
  for (let round = 0; round < rounds; round++) {
    await ours();
    await rest(10, signal);
    await process(limited, [...SYSTEMD_RUN, ...LIMIT_FLAGS, "--", ...command]);
    await rest(10, signal);
    await bareCall(round);
    await rest(10, signal);
    await process(unlimited, [...SYSTEMD_RUN, "--", ...command]);
    await rest(10, signal);
    await process(curl, [
      "curl",
      ...["--silent", "--unix-socket", product.socketPath, ...JSON_HEADER, "--data", job],
      "http://localhost/v1/jobs",
    ]);
    await rest(20, signal);
    if (round % 50 === 49) say(`${round + 1} of ${rounds} rounds`);
  }
  const peers = [
    { name: "systemd-run --user, same limits", samples: limited },
    { name: "systemd-run --user, no limits", samples: unlimited },
  ];
  return [
    {
      name: "submit → first instruction",
      unit: "ms",
      better: "lower",
      ours: { name: "kept connection, limits, durable row", samples: submitted },
      peers: [...peers, { name: "bare StartTransientUnit call (the floor)", samples: floor }],
      notes: [
        "the job is `sh -c 'echo >FIFO'` everywhere; a shell's start is in every figure",
        "the floor does nothing but the D-Bus call: no row, no log file, no record of the end",
      ],
    },
    {
      name: "accepted → first instruction",
      unit: "ms",
      better: "lower",
      target: 6,
      ours: { name: "from the 201 on", samples: accepted },
      peers: [],
      notes: ["the attempt is under way before the 201 has reached the client"],
    },
    {
      name: "one process a job → first instruction",
      unit: "ms",
      better: "lower",
      ours: { name: "curl --unix-socket, limits, durable row", samples: curl },
      peers,
      notes: ["curl's own start is most of it"],
    },
  ];
}
