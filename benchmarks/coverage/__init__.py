"""Which of other people's architectures convert, round-trip, obey their symmetry and prune."""
