"""Which forms of pages come with files: the server asks before Django is there."""

# Questions, with the pictures and texts that go along where there is no JavaScript.
_PAGE = "/chat"


def comes_with_files(path: str, content_type: str) -> bool:
    return (path == _PAGE or path.startswith(f"{_PAGE}/")) and content_type.startswith("multipart/form-data")
