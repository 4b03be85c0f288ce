"""Static files as they are collected for production."""

from whitenoise.storage import CompressedManifestStaticFilesStorage  # type: ignore[import-untyped]


class HashedModules(CompressedManifestStaticFilesStorage):  # type: ignore[misc]
    """Our own modules import each other by names that change with what is in them: a browser keeps each for ever, and
    never runs one of this release with one of the release before."""

    # A module's name is known when those of all it imports are: as many rounds as the longest way down.
    max_post_process_passes = 12
    patterns = (
        *CompressedManifestStaticFilesStorage.patterns,
        (
            "js/*.js",
            (
                (
                    r"""(?P<matched>import(?P<import>\s[^"';]*?)\s*from\s*["'](?P<url>\./.*?|\.\./.*?)["'];)""",
                    """import%(import)s from "%(url)s";""",
                ),
                (r"""(?P<matched>import\(["'](?P<url>\.\.?/.*?)["']\))""", """import("%(url)s")"""),
            ),
        ),
    )
