"""The console takes on so much and no more; beyond that it says so at once, and stays reachable for whoever looks after it."""

import asyncio

import httpx
import pytest
from fastapi import FastAPI

from services.console import pages
from services.console.api import crowd, problems


@pytest.fixture
async def console(monkeypatch):
    monkeypatch.setattr(crowd, "REQUESTS_MAX", 3)
    app = FastAPI()
    problems.install(app, pages.problem)
    app.add_middleware(crowd.Crowd)
    app.state.open = asyncio.Event()

    @app.get("/wait")
    async def wait():
        await app.state.open.wait()
        return {"waited": True}

    @app.get("/readyz")
    async def readyz():
        return {"ready": True}

    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        yield app, client


async def inside(client, count):
    asked = [asyncio.create_task(client.get("/wait")) for _ in range(count)]
    await asyncio.sleep(0.05)
    return asked


async def test_whoever_comes_beyond_the_limit_is_told_to_come_again_and_the_others_are_served(console):
    app, client = console
    asked = await inside(client, 3)
    turned_away = await client.get("/wait")
    assert (turned_away.status_code, turned_away.headers["Retry-After"]) == (503, "1")
    assert turned_away.json()["title"] == "crowded"
    assert (await client.get("/readyz")).status_code == 200
    app.state.open.set()
    assert [answer.status_code for answer in await asyncio.gather(*asked)] == [200, 200, 200]
    assert (await client.get("/wait")).status_code == 200, "there is room again"


async def test_a_request_that_takes_too_long_is_ended_and_makes_room(console, monkeypatch):
    monkeypatch.setattr(crowd, "REQUEST_SECONDS", 0.1)
    _, client = console
    for answer in await asyncio.gather(*await inside(client, 3)):
        assert answer.status_code == 503
        assert "same Idempotency-Key" in answer.json()["detail"]
    assert (await client.get("/readyz")).status_code == 200
    monkeypatch.setattr(crowd, "REQUEST_SECONDS", 60)
    asked = await inside(client, 3)
    assert not any(one.done() for one in asked), "nobody is turned away"
    for one in asked:
        one.cancel()
