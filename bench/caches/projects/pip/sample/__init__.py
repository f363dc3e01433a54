"""Renders the jobs of a file."""

from pathlib import Path

import jinja2
import requests
import yaml

from .edition import EDITION

TEMPLATE = jinja2.Template("{% for job in jobs %}{{ job.project }}: {{ job.script }}\n{% endfor %}")


def render(path: Path) -> str:
    """Returns a line for each job."""
    return TEMPLATE.render(jobs=yaml.safe_load(path.read_text()))


def request(address: str, path: Path) -> requests.PreparedRequest:
    """Returns the request that submits the jobs."""
    agent = {"user-agent": f"sample/{EDITION}"}
    return requests.Request("POST", address, data=render(path), headers=agent).prepare()
