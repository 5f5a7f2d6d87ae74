"""Access: API keys, rate limits, load shedding, TLS and security headers."""
