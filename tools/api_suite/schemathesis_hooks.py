"""Keeps the run from its own key, and completes jobs by the rules that no schema can express."""

import os

import schemathesis


@schemathesis.hook
def before_call(context, case, kwargs):
    if case.path_parameters and case.path_parameters.get("id") == os.environ["CICD_KEY_ID"]:
        case.path_parameters["id"] = "0" * 16
    is_valid = case.meta is not None and case.meta.generation.mode.is_positive
    if is_valid and case.operation.label == "POST /v1/jobs" and isinstance(case.body, dict):
        case.body = completed(case.body)
    if is_valid and case.operation.label == "POST /v1/jobs/{id}/retry" and case.body:
        # Only the secrets that the job had.
        case.body = {}


def completed(body):
    """Returns the job without what a project's policy must allow, and with consistent names."""
    job = dict(body)
    if "network" in job:
        job["network"] = "bridge"
    if "container" in job:
        of_policy = ("mounts", "capabilities", "privileged", "user", "registry")
        job["container"] = {k: v for k, v in job["container"].items() if k not in of_policy}
    if "git" in job:
        # Names a secret, and only https takes one.
        job["git"] = {k: v for k, v in job["git"].items() if k != "token_secret"}
    if "limits" in job and "image" not in job:
        job["limits"] = {k: v for k, v in job["limits"].items() if k != "disk"}
    if "secrets" in job:
        job["secrets"] = {k: v for k, v in job["secrets"].items() if k not in job.get("env", {})}
    if "retries" in job:
        # A follower would wait for the next attempt for as long.
        job["retries"] = {k: v for k, v in job["retries"].items() if k != "delay"}
    if "files" in job:
        # No file may be inside another.
        job["files"] = {
            path: file
            for path, file in job["files"].items()
            if not any(path.startswith(f"{other}/") for other in job["files"])
        }
    if "caches" in job:
        # No path may be inside another, no name appear twice.
        job["caches"] = [
            {**cache, "name": f"c{index}", "paths": cache["paths"][:1]}
            for index, cache in enumerate(job["caches"])
        ]
    return job
