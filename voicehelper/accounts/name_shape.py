"""What a name looks like, in the database: the same for names that people take for each other."""

from django.db import models


class NameShape(models.Func):
    """accounts_name_shape(name), made by migration 0015: compatibility forms, case, accents and letters of other
    scripts that look Latin (Unicode's confusables) are one, and so are i, l and 1, o and 0, rn and m, vv and w."""

    function = "accounts_name_shape"
    output_field = models.TextField()
