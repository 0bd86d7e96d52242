"""The REST calls with which the demo sets itself up: what a user would do by hand."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import aiohttp

from hub.errors import StartError
from hub.secret import Secret


class Api:
    """The hub's REST API with an API token."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, url: str, token: Secret) -> AsyncIterator["Api"]:
        """Open a session.

        Args:
            url: such as http://127.0.0.1:7800
        """
        headers = {"Authorization": f"Bearer {token.reveal()}"}
        timeout = aiohttp.ClientTimeout(total=30)
        async with aiohttp.ClientSession(url, headers=headers, timeout=timeout) as session:
            yield cls(session)

    async def create_project(self, name: str) -> str:
        """Make a project and give its id."""
        return str((await self._post("/api/v1/projects", {"name": name}))["id"])

    async def create_token(self, project: str) -> Secret:
        """Make a project token."""
        answer = await self._post(f"/api/v1/projects/{project}/tokens", {"name": "demo device"})
        return Secret(answer["token"])

    async def create_papertrail(self, project: str, host: str, port: int, ca: str) -> str:
        """Configure an integration of type `papertrail` and give its id."""
        config = {"mode": "classic", "host": host, "port": port, "ca": ca}
        body = {"type": "papertrail", "name": "Demo receiver", "config": config}
        answer = await self._post(f"/api/v1/projects/{project}/integrations", body)
        return str(answer["id"])

    async def variables(self, project: str) -> dict[str, str]:
        """Give a project's variables, by name."""
        answer = await self._get(f"/api/v1/projects/{project}/envars")
        return {name: one["value"] for name, one in answer["variables"].items()}

    async def set_variable(self, project: str, name: str, value: str) -> None:
        """Set a variable, for which the app is started anew."""
        path = f"/api/v1/projects/{project}/envars/{name}"
        async with self._session.put(path, json={"value": value, "restart": True}) as answer:
            await _content(answer)

    async def switch_on(self, project: str, *names: str) -> None:
        """Set variables to `true`, all at once."""
        path = f"/api/v1/projects/{project}/envars"
        body = {"variables": {name: {"value": "true"} for name in names}}
        headers = {"Content-Type": "application/merge-patch+json"}
        async with self._session.patch(path, json=body, headers=headers) as answer:
            await _content(answer)

    async def scripts(self, project: str) -> dict[str, str]:
        """Give a project's scripts, by their moment."""
        answer = await self._get(f"/api/v1/projects/{project}/scripts")
        return {moment: one["body"] for moment, one in answer["scripts"].items()}

    async def devices(self, project: str) -> list[str]:
        """Give the ids of a project's devices."""
        return [one["id"] for one in await self._get(f"/api/v1/projects/{project}/devices")]

    async def values(self, device: str, kind: str) -> dict[str, float]:
        """Give the newest samples of a type that a device measures, by name."""
        answer = await self._get(f"/api/v1/devices/{device}/metrics?type={kind}&limit=200")
        return {one["name"]: one["last"] for one in answer if one["last"] is not None}

    async def restart(self, device: str) -> str:
        """Have a device start its app anew, and give the id of the command."""
        wanted = {"action": {"type": "restart"}}
        answer = await self._post(f"/api/v1/devices/{device}/commands", wanted)
        return str(answer["id"])

    async def variable_versions(self, project: str) -> list[tuple[int, int]]:
        """Give, for each device, the version that it is to have, and that it uses."""
        answer = await self._get(f"/api/v1/projects/{project}/envar-statuses")
        return [(one["version"], one["applied"]) for one in answer]

    async def run_script(self, project: str, body: str) -> str:
        """Run a script on every device of a project, and give the id of the command."""
        wanted = {"action": {"type": "script", "body": body}, "all": True}
        answer = await self._post(f"/api/v1/projects/{project}/commands", wanted)
        return str(answer["id"])

    async def results(self, project: str, command: str) -> list[tuple[str, str]]:
        """Give how a command ended, and what it wrote, on the devices on which it has ended."""
        answer = await self._get(f"/api/v1/projects/{project}/commands/{command}/results")
        return [(one["status"], one["output"]) for one in answer if one["ended_at"] is not None]

    async def _get(self, path: str) -> Any:
        async with self._session.get(path) as answer:
            return await _content(answer)

    async def _post(self, path: str, body: dict[str, Any]) -> Any:
        async with self._session.post(path, json=body) as answer:
            return await _content(answer)


async def _content(answer: aiohttp.ClientResponse) -> Any:
    if answer.status >= 400:
        raise StartError(
            f"{answer.method} {answer.url.path} was answered {answer.status}: {await answer.text()}"
        )
    return await answer.json()
