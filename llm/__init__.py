"""Large models. So far: `providers/`, which speak Ark's, OpenAI's and Anthropic's protocols.

Providers know neither Django nor models; they open connections through voicehelper/http_async.py.
"""
