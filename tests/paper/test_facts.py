"""The tables of published results that come with the package."""

from mil_asc.paper import facts


def test_packaged_tables_are_readable():
    assert {"table", "dataset", "accuracy_percent"} <= set(facts.read_table("paper_tables.csv")[0])
    assert {"system", "accuracy_percent"} <= set(facts.read_table("published_systems.csv")[0])
