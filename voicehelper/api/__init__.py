"""One kit for JSON edges: error answers, paging, rate limits."""
