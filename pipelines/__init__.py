"""Batch work on the read models, as Ray jobs: analytics and recommendations. It reads what projections wrote and owns nothing."""
