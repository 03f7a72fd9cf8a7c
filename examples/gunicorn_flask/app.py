"""A web application that asks another service for each answer; it knows nothing of patches."""

from __future__ import annotations

import os
from typing import Any

import requests
from flask import Flask

UPSTREAM = os.environ.get("UPSTREAM", "http://localhost:8001")

app = Flask(__name__)


@app.get("/price")
def price() -> Any:
    try:
        return requests.get(f"{UPSTREAM}/price", timeout=5).json()
    except requests.ConnectionError as error:
        return {"error": type(error).__name__}, 502
