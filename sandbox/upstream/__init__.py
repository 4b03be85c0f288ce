"""Stand-ins for the model providers: Ark, OpenAI and Anthropic, each at its own address under /sandbox/llm/.

A small ASGI application in front of Django (`voicehelper/asgi.py` mounts it where settings.SANDBOX is True): a stream
costs a coroutine here and no thread. It knows its customers' keys, is as strict as the providers are documented to be,
counts what it reads and writes, and fails when it is asked to: by a mark in the last message, or by a script.

`exchange` speaks HTTP, `vendors` say no in each provider's words, `completions`, `messages` and `responses` are the
three protocols of chat, `embeddings`, `pictures` and `sound` the rest; `mind` thinks of an answer, `words` writes it.
"""

from .app import application
