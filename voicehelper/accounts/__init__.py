"""Users, their price group, access tokens, signing in and up; the mini program's app id.

Owns: User, AccessToken, MiniProgramSettings. May import: voicehelper's own modules (secrets, clock, ratelimit).
"""
