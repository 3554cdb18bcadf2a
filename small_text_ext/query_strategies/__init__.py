"""Query strategies: one method, one module."""
