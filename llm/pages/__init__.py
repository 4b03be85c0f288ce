"""The pages of large models: chat, API keys, usage."""
