"""Users, their price group, access tokens, API keys, signing in and up; the mini program's app id.

Owns: User, AccessToken, ApiKey, WeChatIdentity, MiniProgramSettings.
May import: voicehelper's own modules (secrets, clock, ratelimit).
"""
