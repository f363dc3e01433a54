/**
 * Runs a Gryt job while its client waits: here, or at another agent.
 *
 * @module
 */
import { withDeadline } from "@lib/core/abort.ts";
import { FORWARDED_HEADER } from "@lib/features/gryt/agents_front.ts";
import { type GrytRequest, parseGrytRequest } from "@lib/features/gryt/request.ts";
import type { GrytService } from "@lib/features/gryt/service.ts";
import { readJson } from "@lib/foundations/http/body.ts";
import { waitForAnswer } from "@lib/features/gryt/sync_answer.ts";
import { grytError, unprocessable } from "@lib/features/gryt/problems.ts";
import { takeGrytJob } from "@lib/features/gryt/submit.ts";
import type { RunnerServices } from "@lib/api/feature.ts";

/** What the other side may need besides the job's own time: its queue, checkout and image. */
const FORWARD_SLACK_MS = 3_600_000;
/** Longer ones fire at once. */
const TIMER_MAX_MS = 2_147_483_647;

/**
 * Answers `POST /jobs/execute` to a client whose key is right.
 *
 * @throws {CicdError} If the body cannot be taken, or the job cannot be stored now.
 */
export async function executeGryt(
  ports: RunnerServices,
  gryt: GrytService,
  request: Request,
): Promise<Response> {
  const parsed = parseGrytRequest(await readJson(request, ports.bodyLimits()));
  if (parsed.kind === "invalid") return unprocessable(parsed.detail);
  const wish = parsed.request;
  const known = gryt.ledger.open(wish.jobId) !== undefined;
  if (!known && !request.headers.has(FORWARDED_HEADER)) {
    const passedOn = await passOn(ports, gryt, wish, request.signal);
    if (passedOn !== undefined) return passedOn;
  }
  const problem = known ? undefined : await gryt.engine.problem();
  if (problem !== undefined) return grytError(500, `Failed to connect to Docker: ${problem}`);
  const taken = takeGrytJob(ports, gryt, { request: wish });
  if (taken.kind === "failed") return Response.json(taken.answer);
  using _answer = gryt.waiting.begin();
  const { signal } = request;
  return Response.json(
    await waitForAnswer(ports, gryt, { jobId: taken.job.id, grytId: wish.jobId, signal }),
  );
}

/** Lets another agent answer; `undefined` if none is named or none has taken it. */
async function passOn(
  ports: RunnerServices,
  gryt: GrytService,
  wish: GrytRequest,
  signal: AbortSignal,
): Promise<Response | undefined> {
  const { agentUrls, apiKey, maxOutputBytes, timeoutMs } = gryt.settings();
  if (agentUrls.length === 0 || apiKey === undefined) return undefined;
  const limitMs = Math.min((wish.timeoutMs ?? timeoutMs) + FORWARD_SLACK_MS, TIMER_MAX_MS);
  using deadline = withDeadline(signal, limitMs, "the job at another agent");
  const result = await gryt.front.forward({
    agents: agentUrls,
    grytId: wish.jobId,
    body: new TextEncoder().encode(JSON.stringify(toBody(wish))),
    apiKey,
    timeoutMs: limitMs,
    // Text in JSON may take six bytes for one.
    maxAnswerBytes: 12 * maxOutputBytes + 1_048_576,
  }, deadline);
  switch (result.kind) {
    case "answered":
      ports.log.debug("A job was run by another agent", {
        grytJobId: wish.jobId,
        agent: result.agent,
        status: result.status,
      });
      return new Response(result.body, {
        status: result.status,
        headers: { "content-type": "application/json" },
      });
    case "lost":
      ports.log.warning("The answer of another agent is lost", {
        grytJobId: wish.jobId,
        agent: result.agent,
        why: result.why,
      });
      return grytError(
        502,
        `The agent at ${result.agent} may run the job, but its answer is lost: ${result.why}; ` +
          "send the same again to join it",
      );
    case "nobody":
      return undefined;
  }
}

/** The request as another agent reads it. */
function toBody(wish: GrytRequest): Readonly<Record<string, unknown>> {
  return {
    job_id: wish.jobId,
    pipeline_b64: wish.pipelineBase64,
    git_url: wish.gitUrl,
    git_branch: wish.gitBranch,
    github_token_encrypted: wish.tokenEncrypted,
    docker_image: wish.image,
    env_vars: wish.env,
    cpu_limit: wish.cpuLimit,
    memory_limit: wish.memoryLimit,
    callback_url: wish.callbackUrl,
    priority: wish.priority,
    timeout: wish.timeoutMs === undefined ? undefined : wish.timeoutMs / 1_000,
    artifacts: wish.artifacts,
  };
}
