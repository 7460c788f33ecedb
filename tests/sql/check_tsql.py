"""Checks every table and the whole chain of migrations for SQL Server: ``-m tests.sql.check_tsql``.

The queries are checked where they run: `recorder` collects them during the tests.
"""

import sys
from datetime import UTC, datetime, timedelta

from management import tables
from management.database import Base
from management.migrations.run import offline_sql
from management.work.service import claim_statement
from tests.sql import tsql


def findings() -> list[str]:
    """Return every problem, in sentences."""
    tables.load()
    found = [one for table in Base.metadata.sorted_tables for one in tsql.table_problems(table)]
    found += [f"migrations: {one}" for one in tsql.problems(offline_sql("mssql"))]
    claim = claim_statement("worker", datetime.now(UTC), timedelta(minutes=1))
    return found + [f"claim: {one}" for one in tsql.problems(tsql.compiled(claim))]


def main() -> None:
    """Print the problems; exit status 1 when there are any."""
    found = findings()
    for one in found:
        print(one)
    if found:
        sys.exit(1)
    print(f"{len(Base.metadata.tables)} tables and all migrations are fit for SQL Server.")


if __name__ == "__main__":
    main()
