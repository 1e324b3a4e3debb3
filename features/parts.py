"""Money and pieces as whole ten-thousandths of one, which add up alike in any order."""

from pyspark.sql import Column as Expression
from pyspark.sql import functions as f

PARTS = 10_000


def parts(number: Expression) -> Expression:
    """The number in ten-thousandths, bigint; 0 where there is none."""
    return f.round(f.coalesce(number, f.lit(0.0)) * PARTS).cast("bigint")


def whole(parts: Expression) -> Expression:
    """Ten-thousandths as the number that they are of, double."""
    return (parts / PARTS).cast("double")
