"""Users, their price group, access tokens, API keys, signing in and up; the mini program: its sign-in and its shares.

Owns: User, AccessToken, BrowserSession, ApiKey, Passkey, SecondFactor, RecoveryCode, WeChatIdentity, Share, ShareVisit;
AccountDeletion, DataExport, LegalText, Consent, MinorMode, LowBalanceNotice; MiniProgramSettings, WebsiteSettings,
SiteSettings; of operators BuiltInRole, UserNote, SavedView, LoggedChange, SecretRotation. Other apps register what they
forget (forgetting.py), what keeps an account (deleting.py) and what is in a copy of one's data (exports.py). `wechat/`
speaks WeChat's protocol, for the mini program, for pages in WeChat's own browser and for its QR code in others, and
imports nothing of ours but `net.http`. May import: notifications, wallet (the balance in `userInfo`), and voicehelper's
own modules (secrets, clock, net, api).
"""
