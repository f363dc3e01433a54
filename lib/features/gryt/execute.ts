/**
 * Runs a Gryt job while its client waits: here, or at another agent.
 *
 * @module
 */
import type { RunnerServices } from "@lib/api/feature.ts";
import { withDeadline } from "@lib/core/abort.ts";
import { FORWARDED_HEADER } from "@lib/features/gryt/agents_front.ts";
import { takeGrytJob, waitForAnswer } from "@lib/features/gryt/gryt_jobs.ts";
import { grytError, unprocessable } from "@lib/features/gryt/problems.ts";
import { type GrytRequest, parseGrytRequest } from "@lib/features/gryt/request.ts";
import type { GrytService } from "@lib/features/gryt/service.ts";
import { readJson } from "@lib/foundations/http/body.ts";

/** Time for the other agent's queue, checkout and image, on top of the job's own limit. */
const FORWARD_SLACK_MS = 3_600_000;
/** Longer timers fire at once. */
const TIMER_MAX_MS = 2_147_483_647;

/**
 * Answers `POST /jobs/execute` to an authenticated client.
 *
 * @throws {CicdError} If the body cannot be read, or the job cannot be stored now.
 */
export async function executeGryt(
  ports: RunnerServices,
  gryt: GrytService,
  httpRequest: Request,
): Promise<Response> {
  const { signal } = httpRequest;
  using _answer = gryt.waiting.begin();
  const parsed = parseGrytRequest(await readJson(httpRequest, ports.bodyLimits()));
  if (parsed.kind === "invalid") return unprocessable(parsed.detail);
  const { request } = parsed;
  if (gryt.ledger.open(request.jobId) === undefined) {
    if (!httpRequest.headers.has(FORWARDED_HEADER)) {
      const forwarded = await forward(ports, gryt, { request, signal });
      if (forwarded !== undefined) return forwarded;
    }
    const problem = await gryt.engine.problem();
    if (problem !== undefined) return grytError(500, `Failed to connect to Docker: ${problem}`);
  }
  const taken = takeGrytJob(ports, gryt, { request });
  if (taken.kind === "failed") return Response.json(taken.answer);
  return Response.json(
    await waitForAnswer(ports, gryt, { job: taken.job, grytId: request.jobId, signal }),
  );
}

/** Lets another agent answer; `undefined` if none is configured or none took the job. */
async function forward(
  ports: RunnerServices,
  gryt: GrytService,
  { request, signal }: { readonly request: GrytRequest; readonly signal: AbortSignal },
): Promise<Response | undefined> {
  const { agentUrls, apiKey, maxOutputBytes, timeoutMs: defaultMs } = gryt.settings();
  if (agentUrls.length === 0 || apiKey === undefined) return undefined;
  const { jobId: grytId } = request;
  const timeoutMs = Math.min((request.timeoutMs ?? defaultMs) + FORWARD_SLACK_MS, TIMER_MAX_MS);
  using deadline = withDeadline(signal, timeoutMs, "the job at another agent");
  const result = await gryt.front.forward({
    agents: agentUrls,
    grytId,
    body: new TextEncoder().encode(JSON.stringify(toBody(request))),
    apiKey,
    timeoutMs,
    // JSON may escape one byte of text as six.
    maxAnswerBytes: 12 * maxOutputBytes + 1_048_576,
  }, deadline);
  if (result.kind === "nobody") return undefined;
  const { agent } = result;
  if (result.kind === "answered") {
    const { status, body } = result;
    ports.log.debug("Another agent ran a job", { grytJobId: grytId, agent, status });
    return new Response(body, { status, headers: { "content-type": "application/json" } });
  }
  const { why } = result;
  ports.log.warning("The answer of another agent is lost", { grytJobId: grytId, agent, why });
  return grytError(
    502,
    `The agent at ${agent} may run the job, but its answer is lost: ${why}; ` +
      "send the same again to join it",
  );
}

/** Writes a request for another agent. */
function toBody(request: GrytRequest): Readonly<Record<string, unknown>> {
  return {
    job_id: request.jobId,
    pipeline_b64: request.pipelineBase64,
    git_url: request.gitUrl,
    git_branch: request.gitBranch,
    github_token_encrypted: request.tokenEncrypted,
    docker_image: request.image,
    env_vars: request.env,
    cpu_limit: request.cpuLimit,
    memory_limit: request.memoryLimit,
    callback_url: request.callbackUrl,
    priority: request.priority,
    timeout: request.timeoutMs === undefined ? undefined : request.timeoutMs / 1_000,
    artifacts: request.artifacts,
  };
}
