"""joblib with sharray."""
