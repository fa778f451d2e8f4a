"""The OpenAPI description of the server's JSON interface."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import mil_asc

NUMBER: dict[str, Any] = {"type": "number"}
TEXT: dict[str, Any] = {"type": "string"}
MAYBE_NUMBER: dict[str, Any] = {"type": ["number", "null"]}
SHARE: dict[str, Any] = {"type": "number", "minimum": 0, "maximum": 1}
RULE: dict[str, Any] = {"type": "string", "enum": ["smi", "cmi", "bag"]}
BINARY: dict[str, Any] = {"type": "string", "format": "binary"}
REFUSALS = {
    400: "The request has no recording, or a parameter is not legal.",
    403: "Another site's page, or another name of the server.",
    408: "The recording did not arrive in time.",
    413: "The recording is too large, too long, or takes too much memory.",
    415: "The body is not audio, or of a format that cannot be read here.",
    422: "The audio cannot be judged: silent, shorter than an instance, or samples that are not finite.",
    429: "Too many recordings at once: try again after the seconds of the header Retry-After.",
    500: "The recording could not be processed.",
    503: "The recording took too long, or the server has no room for it, or cannot classify at present.",
}


def describe(labels: Sequence[str], minutes: float, megabytes: float) -> dict[str, Any]:
    """The description (OpenAPI 3.1) for a model of these classes and a server of these limits."""
    limits = f"At most {megabytes:g} MB and {minutes:g} minutes."
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "mil_asc",
            "version": mil_asc.__version__,
            "description": "Acoustic scene classification that shows which moments decided. The WebSocket /live takes "
            "binary messages of float32 samples (little-endian, mono; query: rate, window, assumption) and answers "
            "with the lines of `mil-asc live --jsonl`; the text `finish` ends it.",
        },
        "paths": {
            "/classify": {"post": _classify(limits)},
            "/model": {"get": _get("The model, its limits, and what it can do.", _reference("Model"))},
            "/examples": {"get": _get("Recordings to try.", _reference("Examples"))},
            "/examples/{id}": {"get": _example()},
            "/healthz": {"get": _health()},
        },
        "components": {"schemas": _schemas(labels)},
    }


def _reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _json(description: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _get(summary: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"summary": summary, "responses": {"200": _json("As asked.", schema)}}


def _example() -> dict[str, Any]:
    number = {"name": "id", "in": "path", "required": True, "schema": TEXT}
    found = {"description": "The recording.", "content": {"audio/*": {"schema": BINARY}}}
    responses = {
        "200": found,
        "404": _json("There is no such example.", _reference("Error")),
        "410": _json("Its file is not there any more.", _reference("Error")),
    }
    return {"summary": "A recording to try.", "parameters": [number], "responses": responses}


def _health() -> dict[str, Any]:
    found = _get("Whether the server works, and how much it has to do.", _reference("Health"))
    return found | {"responses": found["responses"] | {"503": _json("It cannot classify.", _reference("Health"))}}


def _classify(limits: str) -> dict[str, Any]:
    form = {"type": "object", "required": ["file"], "properties": {"file": BINARY}}
    rule = "The rule that decides; by default the model's."
    name = "What the recording is called, if the body is the file itself; some formats are recognised by its ending."
    return {
        "summary": "The scene of a recording, and the moments that decided.",
        "description": limits,
        "parameters": [
            {"name": "assumption", "in": "query", "description": rule, "schema": RULE},
            {"name": "name", "in": "query", "description": name, "schema": TEXT},
        ],
        "requestBody": {
            "required": True,
            "content": {
                "application/octet-stream": {"schema": BINARY},
                "multipart/form-data": {"schema": form},
            },
        },
        "responses": {"200": _json("The scene.", _reference("Scene"))}
        | {str(status): _json(text, _reference("Error")) for status, text in REFUSALS.items()},
    }


def _object(properties: Mapping[str, Any], optional: Sequence[str] = ()) -> dict[str, Any]:
    required = [name for name in properties if name not in optional]
    return {"type": "object", "required": required, "properties": dict(properties), "additionalProperties": False}


def _list(items: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


def _schemas(labels: Sequence[str]) -> dict[str, Any]:
    label = {"type": "string", "enum": list(labels)}
    by_class = _object(dict.fromkeys(labels, SHARE))
    stretch = {"start": NUMBER, "end": NUMBER}
    instance = stretch | {"label": label, "confidence": SHARE, "positive": {"type": "boolean"}, "scores": by_class}
    live = {"available": {"type": "boolean"}, "delay_seconds": MAYBE_NUMBER, "window_seconds": NUMBER}
    return {
        "Error": _object({"error": TEXT}),
        "Scene": _object(
            {"name": TEXT, "label": label, "assumption": RULE}
            | stretch
            | {"probability": {"type": ["number", "null"]}, "familiar": {"type": ["boolean", "null"]}}
            | {"unfamiliarity": MAYBE_NUMBER, "duration": NUMBER}
            | {"scores": _object(dict.fromkeys(("smi", "cmi", "bag"), by_class))}
            | {"instances": _list(_object(instance)), "moments": _list(_object(stretch | {"confidence": SHARE}))}
            | {"peaks": _list(NUMBER)}
            | {"spectrogram": _object({"png": TEXT, "left": NUMBER, "width": NUMBER, "is_mel": {"type": "boolean"}})}
            | {"audacity": TEXT, "model": TEXT, "version": TEXT}
        ),
        "Model": _object(
            {"name": TEXT, "version": TEXT, "description": TEXT, "labels": _list(TEXT), "rule": RULE}
            | {"sample_rate": {"type": "integer"}, "min_seconds": NUMBER, "calibrated": {"type": "boolean"}}
            | {"live": _object(live | {"reason": {"type": ["string", "null"]}})}
            | {"limits": _object({"megabytes": NUMBER, "minutes": NUMBER}), "formats": _list(TEXT)}
        ),
        "Examples": _object(
            {"examples": _list(_object({"id": TEXT, "name": TEXT, "title": TEXT, "url": TEXT}))},
        ),
        "Health": _object(
            {"status": {"type": "string", "enum": ["ok", "failing"]}, "model": TEXT, "version": TEXT}
            | dict.fromkeys(("jobs", "places", "taken", "streams"), {"type": "integer"})
        ),
    }
