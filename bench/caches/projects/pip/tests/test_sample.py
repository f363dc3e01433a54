import pytest

from sample import render, request


@pytest.fixture
def jobs(tmp_path):
    path = tmp_path / "jobs.yaml"
    path.write_text("[{project: web, script: make}, {project: api, script: go test}]")
    return path


def test_render_has_a_line_for_each_job(jobs):
    assert render(jobs) == "web: make\napi: go test\n"


@pytest.mark.parametrize("count", range(1, 160, 3))
def test_render_keeps_the_order(tmp_path, count):
    path = tmp_path / "jobs.yaml"
    path.write_text("".join(f"- {{project: p{index}, script: make}}\n" for index in range(count)))
    assert render(path) == "".join(f"p{index}: make\n" for index in range(count))


def test_request_has_the_jobs(jobs):
    assert request("http://localhost/v1/jobs", jobs).headers["content-length"] == "23"
