"""Users, their price group, access tokens, API keys, signing in and up; the mini program: its sign-in and its shares.

Owns: User, AccessToken, ApiKey, WeChatIdentity, MiniProgramSettings, Share, ShareVisit. `wechat_login` speaks WeChat's
protocol and imports nothing of ours but `http`. May import: notifications, wallet (the balance in `userInfo`), and
voicehelper's own modules (secrets, clock, http, net, ratelimit).
"""
