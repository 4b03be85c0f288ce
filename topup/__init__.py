"""Recharging: orders, refunds, notices of the providers, prices, and the settings of the gateways.

Owns: Order, Refund, SurplusPayment, Notice, GatewayCall, Reconciliation, Difference, CodeBatch, RedemptionCode,
MerchantAccount, ProviderCertificate, RechargeSettings and each gateway's settings section. May import: wallet,
accounts, notifications and voicehelper's own modules. Inside: edges (api, pages, admin, tasks, commands) call services,
and services call models, pricing and gateways; gateways and models know nothing of each other. What differs from
gateway to gateway is asked of the table in gateways/__init__.py.
"""
