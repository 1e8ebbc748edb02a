"""A download that goes on where it broke off, with a bar, and is whole when it has its name."""

from pathlib import Path
from urllib.parse import quote

import httpx
from anyio import Path as AsyncPath
from anyio import open_file
from image_links import Link
from rich.progress import DownloadColumn, Progress

progress = Progress(*Progress.get_default_columns(), DownloadColumn())


async def save(web: httpx.AsyncClient, link: Link, folder: Path) -> bool:
    """Download an image, and return whether it was not there before."""
    name = quote(link.name, safe=" ")  # one file in this folder, whatever the provider has called it
    whole, part = folder / name, folder / f"{name}.part"
    if whole.exists():  # by an earlier attempt: a handler may run again
        return False
    await AsyncPath(folder).mkdir(parents=True, exist_ok=True)
    begun = part.stat().st_size if part.exists() else 0
    async with web.stream("GET", link.url, headers={"range": f"bytes={begun}-"} if begun else {}) as answer:
        if answer.status_code == 416:  # all of it was there already, if that is the size
            size = int(answer.headers["content-range"].removeprefix("bytes */"))
        else:
            resumed = answer.raise_for_status().status_code == 206
            size = int(answer.headers["content-length"]) + (begun if resumed else 0)
            task = progress.add_task(name, total=size, completed=begun if resumed else 0)
            try:
                async with await open_file(part, "ab" if resumed else "wb") as file:
                    async for chunk in answer.aiter_bytes():
                        progress.advance(task, await file.write(chunk))
            finally:
                progress.remove_task(task)
    if part.stat().st_size != size:
        if part.stat().st_size > size:
            part.unlink()
        raise OSError(f"{part} is {begun} bytes and more, not {size}: it is downloaded again")
    part.replace(whole)
    return True
