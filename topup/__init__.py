"""Recharging: orders, refunds, notices of the providers, prices, and the settings of the gateways.

Owns: Order, Refund, Notice, GatewayCall, Reconciliation, Difference, RechargeSettings, WeChatSettings, AlipaySettings.
May import: wallet, accounts, notifications and voicehelper's own modules. Inside: edges (api, pages, admin, tasks,
commands) call services and reconciliation, which calls services; services call models, pricing and gateways; gateways
and models know nothing of each other.
"""
