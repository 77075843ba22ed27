"""Checks of data before they are let in; the only room that knows Great Expectations."""
