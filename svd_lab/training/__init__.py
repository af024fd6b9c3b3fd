"""The workshop: how the miniatures were trained and are measured. It stays in the repository; the wheel leaves it out."""
