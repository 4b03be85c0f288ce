"""WeChat Pay API v3 from the provider's side: JSON in, JSON out, signed by both with RSA; the same merchants, trades,
refunds and bills as in v2.
"""
