"""A function that says what a name looks like, and an index of it. Nobody waits to sign up while that is built."""

import unicodedata

from django.db import migrations, models

import voicehelper.accounts.name_shape

# Letters and digits of other scripts that look like Latin ones: https://www.unicode.org/Public/security/ (confusables).
CONFUSABLES = (
    ("քցհոռօՕգզՏսՍա", "fghnnooqqsuuw"),  # Armenian
    ("ꛯꛟ", "2v"),  # Bamum
    ("৪৭০", "89o"),  # Bengali
    ("ᒿᗅᑲᖯᗷᑯᗞᗪᖴᕼᒍᒪᗰᑭᖇᑌᐯᕁᕽ", "2abbbdddfhjlmpruvxx"),  # Canadian
    ("ᏎᏮᎪᏏᏴꮯᏟᏧᎠᎬᏀᏳᏂᎻꭵᎥᎫᏦᏞᎷᏢꮁᎡᏒꮪᏕᏚᎢꮩᏙꮃᎳᏔᎩᎽꮓᏃ", "46abbccddegghhlljklmprrrssstvvwwwyyzz"),  # Cherokee
    ("ϨⳌⳒⳊⲥⲤⲎⲔⲒⳐⲘⲚⲟⲞⲣⲢⲅⲦⲬⲨ", "2369cchkllmnoopprtxy"),  # Coptic
    ("ꙄЗӠбаАЬВсСԁеҽЕԌһНіꙇӏјЈКІӀМоОрРԛгѕЅТѵѴѡԝԜхХуүУҮ", "2336aabbccdeeeghhllljjkllmooppqrsstvvwwwxxyyyy"),  # Cyrillic
    ("०", "o"),  # Devanagari
    ("ዐሀ", "ou"),  # Ethiopic
    ("۱۵۷", "lov"),  # Extended
    ("ჿყ", "oy"),  # Georgian
    ("αΑΒΕϜΗιϳͿΚΙΜϺΝοσΟρΡᴦΤυνΧγΥΖ", "aabefhljjklmmnooopprtuvxyyz"),  # Greek
    ("૦", "o"),  # Gujarati
    ("੪੧੦", "89o"),  # Gurmukhi
    ("〇", "o"),  # Ideographic
    ("೦", "o"),  # Kannada
    ("໐", "o"),  # Lao
    ("ꝚƧꞫȜƷꝪƼȣȢꝮɑƄꞴᴄꬲꬵꞙẝꞘɡᶃƍıɪɩꞲƖǀᴏᴑꬽꭇꭈƦꜱƽꞟᴜꭎꭒʋᴠɯᴡꞳɣᶌʏỿꭚᴢ", "2233335889abbceffffgggllljllooorrrssuuuuuvwwxyyyyyz"),  # Latin
    ("ꓮꓐꓚꓒꓓꓰꓝꓖꓧꓙꓗꓲꓡꓟꓠꓳꓑꓣꓢꓔꓴꓦꓪꓫꓬꓜ", "abcddefghjkllmnoprstuvwxyz"),  # Lisu
    ("൭൦ഠ", "9oo"),  # Malayalam
    ("၀ဝ", "oo"),  # Myanmar
    ("୨୦ଠ", "9oo"),  # Oriya
    ("ᛕᛁᛖᚷ", "klmx"),  # Runic
    ("௦", "o"),  # Tamil
    ("౦", "o"),  # Telugu
    ("๐", "o"),  # Thai
    ("ⴹⵏⵔⵕⴸⵝ", "eloqvx"),  # Tifinagh
)
# Of ours, in the typefaces of screens.
OURS = ("I1i0", "lllo")


def pairs() -> dict[str, str]:
    """Each letter and what it is taken for: one letter for one, so that translate() can do it."""
    found = {letter: like for letters, likes in (*CONFUSABLES, OURS) for letter, like in zip(letters, likes, strict=True)}
    # What looks Latin as a capital only is taken for it as a small letter too: a name has no case.
    for letter, like in list(found.items()):
        if len(letter.lower()) == 1 and not letter.lower().isascii():
            found.setdefault(letter.lower(), like)
    for letter in map(chr, (*range(0xC0, 0x250), *range(0x370, 0x590), *range(0x1E00, 0x2000))):
        base = unicodedata.normalize("NFD", letter)[0].lower()
        small = letter.lower()
        if base != letter and base.isascii() and base.isalpha():
            found.setdefault(letter, {"i": "l"}.get(base, base))
        elif small != letter and len(small) == 1:
            # Of a database in the locale C, lower() knows ASCII only.
            found.setdefault(letter, found.get(small, small))
    return found


FOUND = pairs()
FUNCTION = f"""
CREATE OR REPLACE FUNCTION accounts_name_shape(name text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT replace(replace(lower(translate(
        normalize(name, NFKC), '{"".join(FOUND)}', '{"".join(FOUND.values())}'
    )), 'rn', 'm'), 'vv', 'w')
$$
"""
IMPATIENT, PATIENT = "RESET statement_timeout; RESET lock_timeout", "SET statement_timeout = 0; SET lock_timeout = 0"
REMAINS = "DROP INDEX CONCURRENTLY IF EXISTS user_name_shape"
INDEX = "CREATE INDEX CONCURRENTLY user_name_shape ON accounts_user (accounts_name_shape(username))"


class Migration(migrations.Migration):
    # What is built beside running code cannot stand in a transaction.
    atomic = False

    dependencies = [("accounts", "0014_passkeys")]

    operations = [
        migrations.RunSQL(FUNCTION, "DROP FUNCTION IF EXISTS accounts_name_shape(text)"),
        migrations.RunSQL(PATIENT, IMPATIENT),
        # What a try that was broken off leaves behind is good for nothing.
        migrations.RunSQL(REMAINS, migrations.RunSQL.noop),
        migrations.SeparateDatabaseAndState(
            [migrations.RunSQL(INDEX, REMAINS)],
            [
                migrations.AddIndex(
                    model_name="user",
                    index=models.Index(voicehelper.accounts.name_shape.NameShape("username"), name="user_name_shape"),
                )
            ],
        ),
        migrations.RunSQL(IMPATIENT, PATIENT),
    ]
