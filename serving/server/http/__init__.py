"""HTTP/1.1 on asyncio: reading requests, writing answers, and the limits of both; it knows nothing of models."""
