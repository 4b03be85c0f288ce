"""Everything goes wrong at once (`make chaos`), and then every order is counted against the stand-ins' books.

Real servers and workers that are killed, proxies before database and providers that break, gateways and merchant
accounts that come and go, money given back in the providers' console; and three wallets that receive most of it.
"""
