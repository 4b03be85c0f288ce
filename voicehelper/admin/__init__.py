"""What the admin pages of all apps are built from, each idea at one address.

base.py      records that may be looked at, buttons on a record's page, CSV of a list
keyset.py    lists of tables that never stop growing
columns.py   what stands in columns and among facts: times, numbers, links, coloured words
filters.py   one factory for filters
forms.py     rows edited in cards; a stored secret stays with the address it was entered for
sections.py  the page of a settings section
probing.py   "test connection"
rows.py      tables edited row by row
change_logging.py  what every page logs of its changes
saved_views.py  an operator's own views of a list
stepup.py    the password again, before something grave
site.py      what every page is given
menu.py, front_page.py, finding.py, customer.py  what apps add themselves to, in AppConfig.ready()

Charts, files for spreadsheets and numbers in words serve users' pages as well: voicehelper/charts.py, spreadsheet.py,
numbers.py. The theme is django-unfold; our own look is in static/admin_ext and templates/admin.
"""
