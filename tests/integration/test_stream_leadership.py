"""One holder of a name at a time, whatever becomes of its session."""

from __future__ import annotations

import pytest

from data_engineering.runtime import open_runtime
from data_engineering.storage.metadata import query
from data_engineering.storage.stream_reads import Leadership

pytestmark = pytest.mark.integration


def test_one_of_two_holds_a_name_and_gives_it_back(store_settings):
    with open_runtime(store_settings) as one, open_runtime(store_settings) as two:
        first, second = Leadership(one.metadata, "a"), Leadership(two.metadata, "a")
        assert (first.held(), second.held(), first.held()) == (True, False, True)
        assert Leadership(two.metadata, "b").held()
        first.release()
        assert (second.held(), first.held()) == (True, False)
        second.release()


def test_a_name_is_free_when_the_session_of_its_holder_is_gone(store_settings):
    with open_runtime(store_settings) as one, open_runtime(store_settings) as two:
        first, second = Leadership(one.metadata, "a"), Leadership(two.metadata, "a")
        assert first.held()
        query(
            two.metadata,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        # It learns of it at its next look, and steps down.
        assert first.held() is False
        assert (second.held(), first.held()) == (True, False)
        second.release()
        assert first.held()
        first.release()
