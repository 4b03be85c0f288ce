"""One kit for JSON edges: error answers and their registry, the base of views, parsing, paging, rate limits."""
