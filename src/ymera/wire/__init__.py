"""Wire protocols: one module or package per dialect, pure, both directions."""
