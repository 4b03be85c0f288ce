"""Files of users: the buckets they lie in, and the rows that know them; and old months of logs, archived there.

Owns: Bucket, StoredFile, Retention, Archive. May import: accounts, notifications and voicehelper's own modules.
Inside: edges (api, pages, admin, tasks) call services; services call models and stores; a store (backends/) speaks one
protocol and knows neither models nor settings.
"""
