"""Workbooks, whatever stands in them: opened safely, read by their headings, every bad cell told; written as texts."""
