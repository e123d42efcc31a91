"""Audits of methods: evidence that a method does what it claims. Knows the plugin contract, not single methods."""
