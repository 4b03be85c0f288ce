"""Routes of the statement."""

from django.urls import path

from . import api, pages

app_name = "wallet"

urlpatterns = [
    path("statement", pages.statement, name="statement"),
    path("statement.csv", pages.statement_csv, name="statement_csv"),
    path("api/user/statement", api.OwnStatement.as_view(), name="api_statement"),
    path("api/user/statement/periods", api.StatementPeriods.as_view(), name="api_statement_periods"),
]
