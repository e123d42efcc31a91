"""How potential and environment form a logit: one file a coupling, and the temperature."""
