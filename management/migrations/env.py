"""Alembic runs this file for each command; `management.migrations.run` calls Alembic."""

from typing import Any, Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext
from sqlalchemy.sql.elements import False_, True_

from management import tables
from management.database import Base, UtcDateTime

tables.load()


def _render(kind: str, thing: Any, autogen: AutogenContext) -> str | Literal[False]:
    if kind == "type" and isinstance(thing, UtcDateTime):
        autogen.imports.add("from management.database import UtcDateTime")
        return "UtcDateTime()"
    if kind == "server_default" and isinstance(arg := getattr(thing, "arg", None), True_ | False_):
        return "sa.true()" if isinstance(arg, True_) else "sa.false()"  # PostgreSQL takes no 0
    return False


COMMON: dict[str, Any] = {
    "target_metadata": Base.metadata,
    "render_as_batch": True,  # SQLite alters a table by copying it
    "render_item": _render,
    "compare_server_default": True,
    "transactional_ddl": True,
}

if context.is_offline_mode():
    dialect = context.config.attributes["dialect"]
    options = {"deprecate_large_types": True} if dialect == "mssql" else {}
    context.configure(
        dialect_name=dialect, dialect_opts=options, literal_binds=True, as_sql=True, **COMMON
    )
else:
    context.configure(connection=context.config.attributes["connection"], **COMMON)

with context.begin_transaction():
    context.run_migrations()
