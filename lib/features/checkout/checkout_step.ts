/**
 * The step that checks out a repository into the workspace before the job starts.
 *
 * @module
 */
import type { Clock } from "@lib/core/clock.ts";
import { formatDuration } from "@lib/core/duration.ts";
import { gitIssues } from "@lib/spine/spec/git_policy.ts";
import { type GitRemote, type GitScheme, parseGitUrl } from "@lib/spine/spec/git_url.ts";
import type { GitSpec } from "@lib/spine/spec/job_spec.ts";
import { type AttemptStep, type SetupContext, StepFailure } from "@lib/spine/jobs/step.ts";
import type { RunCommand } from "@lib/foundations/process/run_command.ts";
import { removeTree } from "@lib/foundations/process/remove_tree.ts";
import { type CheckoutJob, emptyDirectory } from "@lib/features/checkout/checkout_repository.ts";
import { checkOutTree } from "@lib/features/checkout/checkout_tree.ts";
import { type Credentials, openCredentials } from "@lib/features/checkout/credentials.ts";
import { Git } from "@lib/features/checkout/git_command.ts";
import { GitFailure } from "@lib/features/checkout/git_failure.ts";
import { mirrorsPath } from "@lib/features/checkout/mirror.ts";

/** Options for {@linkcode createCheckoutStep}. */
export interface CheckoutOptions {
  readonly stateDir: string;
  /** `git.*` of the configuration. */
  readonly config: {
    readonly schemes: readonly GitScheme[];
    readonly mirrors: boolean;
    readonly knownHosts?: string;
  };
  /** The account's directory in memory, for the token; absent: the attempt's directory. */
  readonly runtimeDir?: string;
  /** The agent's own environment: supplies `PATH`, proxies and the ssh agent. */
  readonly own: Readonly<Record<string, string | undefined>>;
  readonly runCommand: RunCommand;
  readonly clock: Clock;
}

/** Time limit of one git command. */
const COMMAND_MAX_MS = 6 * 3_600_000;

/** Makes the step `checkout`. */
export function createCheckoutStep(options: CheckoutOptions): AttemptStep {
  return {
    name: "checkout",
    needed: ({ git }) => git !== undefined,
    async before(context, signal) {
      const { git } = context.spec;
      if (git === undefined) return;
      try {
        await checkOut(options, { context, spec: git, signal });
      } catch (error) {
        if (signal.aborted) throw signal.reason;
        if (!(error instanceof GitFailure)) throw error;
        throw new StepFailure("checkout_failed", error.message, { cause: error });
      }
    },
  };
}

interface Call {
  readonly context: SetupContext;
  readonly spec: GitSpec;
  readonly signal: AbortSignal;
}

async function checkOut(options: CheckoutOptions, call: Call): Promise<void> {
  const { context, spec, signal } = call;
  const { directory, ref, spec: { container, timeoutMs }, say } = context;
  const { stateDir, config, clock, own, runCommand } = options;
  const remote = checkRemote(spec, config.schemes);
  const startedAt = clock.now();
  // This step is the first: any content is left from an agent that died during the checkout.
  await emptyDirectory(directory.workspace);
  const scratch = `${directory.path}/checkout`;
  await using cleanup = new AsyncDisposableStack();
  cleanup.defer(() => removeTree(scratch));
  await removeTree(scratch);
  const home = `${scratch}/home`;
  await Deno.mkdir(home, { recursive: true, mode: 0o700 });
  const credentials = cleanup.use(await openToken(options, { ...call, scratch, remote }));
  const commandMs = Math.min(timeoutMs, COMMAND_MAX_MS);
  const git = new Git({
    ...{ runCommand, own, home, clock, say },
    timeoutMs: commandMs,
    ...(config.knownHosts === undefined ? {} : { knownHosts: config.knownHosts }),
  });
  const job: CheckoutJob = {
    ...{ git, credentials, clock, say, signal },
    schemes: config.schemes,
    mirrors: config.mirrors ? mirrorsPath(stateDir, ref.project) : undefined,
    isolated: container !== undefined,
    nowhere: home,
    waitMs: commandMs,
  };
  const { workspace } = directory;
  const target = spec.path === "." ? workspace : `${workspace}/${spec.path.replace(/\/+$/, "")}`;
  await Deno.mkdir(target, { recursive: true });
  const wanted = { ref: spec.ref, sha: spec.sha };
  const { depth, tags = depth === 0 } = spec;
  const done = await checkOutTree(job, { remote, wanted, depth, tags, target }, spec);
  context.setCommit(done.sha);
  context.setEnv("CICD_GIT_SHA", done.sha);
  if (done.ref !== undefined) context.setEnv("CICD_GIT_REF", done.ref);
  const took = formatDuration(clock.now() - startedAt);
  const name = done.ref === undefined ? "" : ` (${done.ref})`;
  say(`Checked out ${done.sha}${name} in ${took}: ${done.subject}`);
}

/** The configuration may have changed since the job was accepted. */
function checkRemote(spec: GitSpec, schemes: readonly GitScheme[]): GitRemote {
  const issues = gitIssues(spec, { schemes });
  const parsed = parseGitUrl(spec.url);
  if (issues.length === 0 && parsed.kind === "remote") return parsed.remote;
  const problems = issues.map(({ path, message }) => `\`${path}\` ${message}`).join("; ");
  throw new StepFailure("checkout_failed", `Cannot check out: ${problems}`);
}

async function openToken(
  { runtimeDir }: CheckoutOptions,
  { context, spec, scratch, remote }: Call & {
    readonly scratch: string;
    readonly remote: GitRemote;
  },
): Promise<Credentials | undefined> {
  const { tokenSecret } = spec;
  if (tokenSecret === undefined) return undefined;
  const secret = context.secrets.get(tokenSecret);
  if (secret === undefined) {
    throw new StepFailure(
      "checkout_failed",
      `Cannot check out ${remote.url}: there is no secret "${tokenSecret}" (\`git.token_secret\`)`,
    );
  }
  if (remote.scheme === "http") {
    context.say(`The token is sent to ${remote.origin} unencrypted; use https:// if you can`);
  }
  const { jobId, number } = context.ref;
  return await openCredentials({
    remote,
    secret,
    programDirectory: `${scratch}/askpass`,
    secretDirectory: runtimeDir === undefined
      ? `${scratch}/token`
      : `${runtimeDir}/checkout/${jobId}-${number}`,
  });
}
