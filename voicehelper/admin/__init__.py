"""What the admin pages of all apps are built from: read-only records, buttons that do one thing, settings sections.

The theme is django-unfold; our own look is in static/admin_ext and templates/admin.
"""
