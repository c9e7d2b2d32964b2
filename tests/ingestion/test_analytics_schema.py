"""Requests made from the API's own schema: none ends in a server's error, and each answer is as the schema says."""

import os
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import requests
import schemathesis
from django.test import Client
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import response_schema_conformance

from ingestion import rollups, services
from projects.models import Project, User
from tests.ingestion.conftest import portkey_row

EXAMPLES = int(os.environ.get("SCHEMA_EXAMPLES", "12"))
"""Of each operation and way; by hand more."""
ONE_PROJECT = {"project_id": "support-agent"}
OPERATIONS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "ask": ("/api/v1/analytics", "POST", {}),
    "summary": ("/api/v1/analytics/{project_id}/summary", "GET", {"path_parameters": ONE_PROJECT}),
    "use cases": ("/api/v1/projects/{project_id}/use-cases", "GET", {"path_parameters": ONE_PROJECT}),
    "vocabulary": ("/api/v1/analytics/vocabulary", "GET", {}),
}


def schema(reader: Client) -> Any:
    return schemathesis.openapi.from_dict(reader.get("/api/v1/schema?format=json").json())


def sent(client: Client, case: Any) -> schemathesis.Response:
    """The answer of the site, in this process and transaction."""
    asked = requests.Request(**case.as_transport_kwargs(base_url="http://testserver")).prepare()
    kind = asked.headers.pop("Content-Type", "application/json")
    answer = client.generic(
        str(asked.method), asked.path_url, asked.body or b"", content_type=kind, headers=dict(asked.headers)
    )
    headers = {name.lower(): [value] for name, value in answer.items()}
    return schemathesis.Response(answer.status_code, headers, answer.content, asked, timedelta(), verify=False)


@pytest.mark.parametrize("way", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["as told", "not as told"])
@pytest.mark.parametrize("name", OPERATIONS)
def test_no_request_ends_in_an_error_of_ours_and_answers_are_as_the_schema_says(
    project: Project, owner: User, client_of: Callable[[User], Client], name: str, way: GenerationMode
) -> None:
    services.push(project, [portkey_row(number) for number in range(6)])
    rollups.refresh(project)
    path, method, fixed = OPERATIONS[name]
    client = client_of(owner)
    operation = schema(client)[path][method]
    if way is GenerationMode.NEGATIVE and not (operation.body or operation.query or operation.headers):
        pytest.skip("nothing in it can be wrong")
    client.raise_request_exception = False

    @settings(
        max_examples=EXAMPLES, deadline=None, database=None, derandomize=EXAMPLES < 100,
        phases=[Phase.generate], suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(operation.as_strategy(generation_mode=way, **fixed), st.booleans())
    def throw(case: Any, of_the_project: bool) -> None:
        if isinstance(case.body, dict) and (of_the_project or way is GenerationMode.POSITIVE):
            case.body["project"] = project.slug
        case.validate_response(sent(client, case), checks=[not_a_server_error, response_schema_conformance])

    throw()
