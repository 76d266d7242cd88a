"""scikit-learn with shared arrays."""
