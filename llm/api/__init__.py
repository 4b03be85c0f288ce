"""The doors of `llm`: `/v1` for any OpenAI or Anthropic client (v1.py, ASGI), and `/api` for our own pages and apps."""
