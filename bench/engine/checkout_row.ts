/**
 * Measures a checkout from a complete mirror against git alone.
 *
 * @module
 */
import type { Comparison } from "../report.ts";
import { rest } from "../driver/product.ts";
import type { EngineBench } from "./bench.ts";

const FILES = 5_000;
const FILE_BYTES = 4_096;

/** Measures a job with and without a checkout against `git worktree add`. */
export async function measureCheckout(bench: EngineBench): Promise<readonly Comparison[]> {
  const { stage, quick, signal } = bench;
  const repository = `${stage.directory}/repository`;
  const sha = await makeRepository(repository);
  const rounds = quick ? 3 : 15;
  const checkouts: number[] = [];
  const worktrees: number[] = [];
  const git = { url: `file://${repository}`, sha };
  for (let round = -1; round < rounds; round++) {
    const withoutMs = await timed(async () => {
      await stage.succeeded(await stage.submit({ command: ["/bin/true"] }, signal), signal);
    });
    const withMs = await timed(async () => {
      await stage.succeeded(await stage.submit({ git, command: ["/bin/true"] }, signal), signal);
    });
    // The removal of the job's workspace must not overlap with what follows.
    await rest(500, signal);
    const tree = `${stage.directory}/tree-${round}`;
    const worktreeMs = await timed(() =>
      run(["git", "-C", repository, "worktree", "add", "--quiet", "--detach", tree, sha])
    );
    await run(["git", "-C", repository, "worktree", "remove", "--force", tree]);
    await rest(200, signal);
    if (round < 0) continue;
    checkouts.push(withMs - withoutMs);
    worktrees.push(worktreeMs);
  }
  return [{
    name: `checkout from a warm mirror, ${FILES} files`,
    unit: "ms",
    better: "lower",
    ours: { name: "job with a checkout minus the same job without", samples: checkouts },
    peers: [{ name: "git worktree add", samples: worktrees }],
    notes: ["target: 1.2 times git worktree add, a ratio of 0.83"],
  }];
}

async function makeRepository(path: string): Promise<string> {
  await Deno.mkdir(path);
  for (let index = 0; index < FILES; index++) {
    const directory = `${path}/${index % 50}`;
    if (index < 50) await Deno.mkdir(directory);
    await Deno.writeTextFile(`${directory}/${index}`, `${index}\n`.repeat(FILE_BYTES / 8));
  }
  const git = ["git", "-C", path, "-c", "user.name=bench", "-c", "user.email=bench@example.org"];
  await run(["git", "-C", path, "init", "--quiet"]);
  await run([...git, "add", "."]);
  await run([...git, "commit", "--quiet", "--message", "all"]);
  await run([...git, "repack", "-adq"]);
  return (await run([...git, "rev-parse", "HEAD"])).trim();
}

async function run([program = "", ...args]: readonly string[]): Promise<string> {
  const { success, stdout } = await new Deno.Command(program, {
    args,
    stdin: "null",
    stderr: "inherit",
  }).output();
  if (!success) throw new Error(`"${program} ${args.join(" ")}" failed`);
  return new TextDecoder().decode(stdout);
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const begun = performance.now();
  await work();
  return performance.now() - begun;
}
