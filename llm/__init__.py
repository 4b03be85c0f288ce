"""Large models: credentials, models and prices, routing, relaying, billing, chat sessions, the usage log.

Owns: Credential, Model, ModelPrice, ServiceTierFactor, Alias, Usage and its sums; ChatSession, ChatMessage,
SearchWords, Spoken, KeptResponse; SafetySettings, SafetyWord, SafetyVerdict. May import: wallet, accounts,
notifications, storage_backends.services and voicehelper's own modules. Inside: edges (api, pages, admin, tasks) call
services and relay; these call router, billing and providers; providers know neither models nor Django. safety says what
must not pass, labels that a model made it.
"""
