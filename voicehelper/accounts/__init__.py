"""Users, their price group, access tokens, API keys, signing in and up; the mini program: its sign-in and its shares.

Owns: User, AccessToken, ApiKey, Passkey, WeChatIdentity, MiniProgramSettings, WebsiteSettings, Share, ShareVisit.
`wechat/` speaks WeChat's protocol, for the mini program, for pages in WeChat's own browser and for its QR code in
others, and imports nothing of ours but `net.http`. May import: notifications, wallet (the balance in `userInfo`), and
voicehelper's own modules (secrets, clock, net, api).
"""
