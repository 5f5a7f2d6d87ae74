"""An empty ASGI application on uvicorn, uvloop and httptools, which answers {}: what to measure a server by.

``python bare_server.py PORT``
"""

import sys

import uvicorn


async def application(scope, receive, send) -> None:
    """Reads the body, and answers nothing."""
    await receive()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"{}"})


if __name__ == "__main__":
    uvicorn.run(
        application,
        host="127.0.0.1",
        port=int(sys.argv[1]),
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="off",
        interface="asgi3",
        access_log=False,
        proxy_headers=False,
        log_level="critical",
    )
